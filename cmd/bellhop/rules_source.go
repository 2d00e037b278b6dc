package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
	"bellhop/dispatcher/rule"
	"bellhop/store"
)

// storeName is the store's file in data_dir.
const storeName = "bellhop.db"

// ruleSource answers what is asked about rules in force and their versions. Whoever opened it must call close.
type ruleSource interface {
	rules(ctx context.Context) (api.RuleList, error)
	rule(ctx context.Context, name string) (api.Rule, error)
	versions(ctx context.Context) ([]api.Version, error)
	version(ctx context.Context, ref string) (api.Version, error)
	close() error
}

// openRules asks the daemon where one runs; else, unless an address was given, it reads the store itself.
func openRules(ctx context.Context, d *dialFlags, s *config.Settings) (ruleSource, error) {
	c, err := d.client(s)
	if err != nil {
		return nil, err
	}
	if d.address != "" {
		return remoteRules{c}, nil
	}
	err = c.probe(ctx)
	switch {
	case err == nil:
		return remoteRules{c}, nil
	case !errors.Is(err, errNoDaemon):
		return nil, err
	}
	path := filepath.Join(s.DataDir, storeName)
	if _, statErr := os.Stat(path); errors.Is(statErr, fs.ErrNotExist) {
		// Nothing has ever run here: the daemon that is missing says more than a file that is.
		return nil, withHint(fmt.Errorf("%w at %s, and %s is not there to read from", errNoDaemon, c.where, path), "bellhop serve")
	}
	db, err := store.Open(path, store.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	return storedRules{db: db, settings: s}, nil
}

// remoteRules asks a daemon.
type remoteRules struct{ c *client }

func (r remoteRules) close() error { return nil }

func (r remoteRules) rules(ctx context.Context) (list api.RuleList, err error) {
	err = r.c.get(ctx, api.RulesPath, &list)
	return list, err
}

func (r remoteRules) rule(ctx context.Context, name string) (one api.Rule, err error) {
	err = r.c.get(ctx, api.RulesPath+"/"+url.PathEscape(name), &one)
	if err == nil && one.Name == name {
		return one, nil
	}
	if err != nil && !notFound(err) {
		return api.Rule{}, err
	}
	// A rule may be called versions, which is another question's path: the list has it, without its source.
	list, err := r.rules(ctx)
	if err != nil {
		return api.Rule{}, err
	}
	i := slices.IndexFunc(list.Rules, func(one api.Rule) bool { return one.Name == name })
	if i < 0 {
		return api.Rule{}, noRule(name)
	}
	return list.Rules[i], nil
}

func (r remoteRules) versions(ctx context.Context) ([]api.Version, error) {
	var list api.VersionList
	err := r.c.get(ctx, api.VersionsPath, &list)
	return list.Items, err
}

func (r remoteRules) version(ctx context.Context, ref string) (v api.Version, err error) {
	err = r.c.get(ctx, api.VersionsPath+"/"+url.PathEscape(ref), &v)
	return v, hintVersions(err)
}

// storedRules reads the store of a daemon that does not run.
type storedRules struct {
	db       *store.Store
	settings *config.Settings
}

func (r storedRules) close() error { return r.db.Close() }

// current compiles the version that was last in force. Secrets stay unresolved: nothing is sent from here.
func (r storedRules) current() (store.Version, ruleFiles, error) {
	v, err := r.db.Current()
	if errors.Is(err, store.ErrNoVersion) {
		return v, ruleFiles{}, withHint(errors.New("the store has no rules yet"), "bellhop serve")
	}
	if err != nil {
		return v, ruleFiles{}, err
	}
	files := compileRules(r.settings, v.Files, nil, false)
	if files.set == nil {
		return v, files, fmt.Errorf("version %d in the store does not compile: %w", v.Number, firstProblem(files.problems))
	}
	return v, files, nil
}

func (r storedRules) rules(context.Context) (api.RuleList, error) {
	v, files, err := r.current()
	if err != nil {
		return api.RuleList{}, err
	}
	version := describeVersion(v, v.Number)
	version.Files = nil
	return api.RuleList{Version: &version, Rules: api.Rules(files.set), Problems: []api.Finding{}}, nil
}

func (r storedRules) rule(_ context.Context, name string) (api.Rule, error) {
	v, files, err := r.current()
	if err != nil {
		return api.Rule{}, err
	}
	for _, one := range files.set.Rules {
		if one.Name == name {
			out := api.OneRule(one)
			out.Source = api.Source(v.Files, one.Pos)
			return out, nil
		}
	}
	return api.Rule{}, noRule(name)
}

func (r storedRules) versions(context.Context) ([]api.Version, error) {
	history, err := r.db.History()
	if err != nil {
		return nil, err
	}
	current, err := r.db.Current()
	if err != nil && !errors.Is(err, store.ErrNoVersion) {
		return nil, err
	}
	list := make([]api.Version, 0, len(history))
	for _, v := range history {
		list = append(list, describeVersion(v, current.Number))
	}
	return list, nil
}

func (r storedRules) version(_ context.Context, ref string) (api.Version, error) {
	v, err := r.db.Get(ref)
	if err != nil {
		if errors.Is(err, store.ErrNoVersion) {
			err = withHint(err, "bellhop rules history")
		}
		return api.Version{}, err
	}
	current, err := r.db.Current()
	if err != nil && !errors.Is(err, store.ErrNoVersion) {
		return api.Version{}, err
	}
	return describeVersion(v, current.Number), nil
}

// describeVersion gives a version the shape that the API speaks.
func describeVersion(v store.Version, current uint64) api.Version {
	out := api.Version{
		Number: v.Number, Digest: v.Digest, At: v.At, Origin: string(v.Origin), Of: v.Of, Current: v.Number == current,
		Rules: v.Rules, Webhooks: v.Webhooks,
	}
	for _, f := range v.Files {
		out.Files = append(out.Files, api.File{Path: f.Path, Text: f.Text})
	}
	return out
}

// firstProblem is the first error as one error's text.
func firstProblem(problems []rule.Problem) error {
	i := slices.IndexFunc(problems, func(p rule.Problem) bool { return p.Severity == rule.Error })
	if i < 0 {
		return errors.New("no reason was given")
	}
	p := problems[i]
	return fmt.Errorf("%s %s: %s", placeOf(p.Pos), p.Path, p.Text)
}

func noRule(name string) error {
	return withHint(fmt.Errorf("rule %q not found", name), "bellhop rules list")
}

// notFound tells whether a daemon answered 404.
func notFound(err error) bool {
	var e *answerError
	return errors.As(err, &e) && e.status == http.StatusNotFound
}

// hintVersions points to the list of versions where one was not found.
func hintVersions(err error) error {
	if notFound(err) {
		return withHint(err, "bellhop rules history")
	}
	return err
}
