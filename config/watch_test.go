package config

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watching runs a watcher until the test ends and gives a channel that holds a value for each call.
func watching(t *testing.T, paths []string, secrets string) <-chan struct{} {
	t.Helper()
	calls := make(chan struct{}, 100)
	w := NewWatcher(paths, secrets)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx, func() { calls <- struct{}{} }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run ends with %v, want nil", err)
		}
	})
	return calls
}

func TestWatchSeesEveryKindOfChange(t *testing.T) {
	write := func(t *testing.T, name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		paths  []string
		change func(t *testing.T)
	}{
		{"a write", []string{"rules"}, func(t *testing.T) { write(t, "rules/a.yaml", "# longer than before") }},
		{"a rename over the file", []string{"rules/a.yaml"}, func(t *testing.T) {
			write(t, "rules/.a.yaml.swp", "# A")
			rename(t, "rules/.a.yaml.swp", "rules/a.yaml")
		}},
		{"a write of the same size, dated back", []string{"rules"}, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				write(t, "rules/a.yaml", "# others have no number for it")
				return
			}
			info, err := os.Stat("rules/a.yaml")
			if err != nil {
				t.Fatal(err)
			}
			write(t, "rules/a.yaml", "# A")
			if err := os.Chtimes("rules/a.yaml", time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}},
		{"a new file", []string{"rules"}, func(t *testing.T) { write(t, "rules/new.yaml", "") }},
		{"a removed file", []string{"rules"}, func(t *testing.T) { os.Remove("rules/a.yaml") }},
		{"a removed folder", []string{"rules"}, func(t *testing.T) { os.RemoveAll("rules") }},
		{"a file in a new sub-folder", []string{"rules"}, func(t *testing.T) { write(t, "rules/deep/deeper/b.yaml", "") }},
		{"a file in an old sub-folder", []string{"rules"}, func(t *testing.T) { write(t, "rules/sub/b.yaml", "") }},
		{"a folder that comes into being", []string{"later/rules"}, func(t *testing.T) { write(t, "later/rules/a.yaml", "") }},
		{"a file that comes into being", []string{"later.txt"}, func(t *testing.T) { write(t, "later.txt", "") }},
		{"a swapped link", []string{"mounted"}, func(t *testing.T) {
			write(t, "mounted/..2025/f.yaml", "# f")
			link(t, "..2025", "mounted/..data_tmp")
			rename(t, "mounted/..data_tmp", "mounted/..data")
		}},
		{"a secret", nil, func(t *testing.T) { write(t, "secrets/crm", "changed") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree(t, map[string]string{"rules/a.yaml": "# a", "rules/sub/x.yaml": "", "mounted/..2024/f.yaml": "# f", "secrets/crm": "s"})
			link(t, "..2024", "mounted/..data")
			link(t, "..data/f.yaml", "mounted/f.yaml")
			calls := watching(t, c.paths, "secrets")
			c.change(t)
			select {
			case <-calls:
			case <-time.After(10 * time.Second): // the promise is 2; a loaded machine must not fail the test
				t.Fatalf("%s is not seen", c.name)
			}
		})
	}
}

func TestWatchSeesSeveralChangesInTurn(t *testing.T) {
	tree(t, map[string]string{"rules/a.yaml": "# a"})
	calls := watching(t, []string{"rules"}, "")
	for i, name := range []string{"rules/b.yaml", "rules/new/c.yaml", "rules/new/d.yaml"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case <-calls:
		case <-time.After(10 * time.Second):
			t.Fatalf("change %d is not seen", i+1)
		}
	}
}

func TestStampHoldsOnlyWhatIsRead(t *testing.T) {
	tree(t, map[string]string{"rules/a.yaml": "# a", "secrets/crm": "s"})
	if err := os.Mkdir("rules/loops", 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, "..", "rules/loops/one")
	link(t, "..", "rules/loops/two")
	w := NewWatcher([]string{"rules"}, "secrets")
	for _, c := range []struct {
		name    string
		changes bool
	}{
		{"rules/bellhop.db", false}, {"rules/.hidden.yaml", false}, {"rules/sub/notes.txt", true}, // a new folder
		{"rules/sub/more.txt", false}, {"rules/sub/b.yaml", true}, {"secrets/new", true}, {"secrets/.tmp", false}, {"beside.yaml", false},
	} {
		before := w.stamp()
		if err := os.MkdirAll(filepath.Dir(c.name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if changed := w.stamp() != before; changed != c.changes {
			t.Errorf("writing %s changes the stamp: %t, want %t", c.name, changed, c.changes)
		}
	}
}

func TestRunTellsWhatChangedBeforeIt(t *testing.T) {
	tree(t, map[string]string{"rules/a.yaml": "# a"})
	w := NewWatcher([]string{"rules"}, "")
	if err := os.WriteFile("rules/b.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	calls := 0
	if err := w.Run(ctx, func() { calls++; stop() }); err != nil || calls != 1 {
		t.Errorf("Run ends with %v after %d calls, want nil after one", err, calls)
	}
}
