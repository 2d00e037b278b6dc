package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"bellhop/config"
	"bellhop/dispatcher/endpoint"
)

// laneProblem is what is wrong with a lane's PEM files. unread says that one could not be read, by whoever asked.
type laneProblem struct {
	config.Problem
	unread bool
}

// laneTLS reads the PEM files of the lanes. Each problem has the path of the key that names the file.
func laneTLS(s *config.Settings) (map[string]endpoint.TLS, []laneProblem) {
	own := map[string]endpoint.TLS{}
	var problems []laneProblem
	for i, l := range s.Delivery.Lanes {
		if l.TLS == (config.TLS{}) {
			continue
		}
		t, err := endpoint.LoadTLS(l.TLS.CA, l.TLS.Cert, l.TLS.Key)
		if err != nil {
			key, text, _ := strings.Cut(err.Error(), ": ")
			_, unread := errors.AsType[*fs.PathError](err)
			problems = append(problems, laneProblem{config.Problem{Path: fmt.Sprintf("delivery.lanes[%d].tls.%s", i, key), Text: text}, unread})
			continue
		}
		own[l.Endpoint] = t
	}
	return own, problems
}

// loadLaneTLS is laneTLS for a daemon, which does not start without.
func loadLaneTLS(s *config.Settings) (map[string]endpoint.TLS, error) {
	own, problems := laneTLS(s)
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = fmt.Errorf("%s: %s", p.Path, p.Text)
	}
	return own, errors.Join(errs...)
}

// checkLaneTLS is laneTLS for whoever checks the configuration: perhaps on another machine, or as another user, so that a
// file that cannot be read is worth a warning.
func checkLaneTLS(loaded *config.Loaded) (errs, warnings []config.Problem) {
	_, problems := laneTLS(&loaded.Settings)
	for _, p := range problems {
		p.Origin = loaded.Origin("delivery.lanes")
		if p.unread {
			warnings = append(warnings, p.Problem)
		} else {
			errs = append(errs, p.Problem)
		}
	}
	return errs, warnings
}
