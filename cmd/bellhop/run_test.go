package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// result is what one command line did.
type result struct {
	status      int
	out, errors string
}

// bellhop runs a command line in this process.
func bellhop(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(args, strings.NewReader(stdin), &out, &errs)
	return result{status, out.String(), errs.String()}
}

// wants checks the status, and that stdout and stderr hold the texts; an empty one wants no output at all.
func (r result) wants(t *testing.T, status int, out, errs string) {
	t.Helper()
	if r.status != status {
		t.Errorf("status = %d, want %d; stdout: %s; stderr: %s", r.status, status, r.out, r.errors)
	}
	for _, s := range []struct{ name, got, want string }{{"stdout", r.out, out}, {"stderr", r.errors, errs}} {
		if s.want == "" && s.got != "" {
			t.Errorf("%s = %q, want none", s.name, s.got)
		}
		if !strings.Contains(s.got, s.want) {
			t.Errorf("%s = %q, want it to hold %q", s.name, s.got, s.want)
		}
	}
}

// TestFailsWhereItCannotPrint: half an answer is no success.
func TestFailsWhereItCannotPrint(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rules, []byte("rules: [{name: r, on: strange.type, webhooks: [{endpoint: https://crm.example.com/}]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"version"}, {"rules", "check", rules}, {"rules", "test", "--help"}, {"events", "types"}} {
		var errs bytes.Buffer
		if status := run(args, strings.NewReader(""), fullDisk{}, &errs); status != exitFailed || !strings.Contains(errs.String(), errWrite.Error()) {
			t.Errorf("%v: status %d, stderr %q, want %d and %v", args, status, errs.String(), exitFailed, errWrite)
		}
	}
}
