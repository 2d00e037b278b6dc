package profile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	stop, err := Start(dir)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	if again, err := Start(dir); err == nil {
		_ = again()
		t.Error("Start while one runs: no error, want one")
	}
	if err := stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	for _, name := range []string{"cpu", "allocs", "heap", "mutex", "block", "goroutine"} {
		info, err := os.Stat(filepath.Join(dir, name+".pprof"))
		if err != nil || info.Size() == 0 {
			t.Errorf("%s.pprof: %v, size %v; want a file with something in it", name, err, info)
		}
	}
}

func TestStartWithoutFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(filepath.Join(file, "dir")); err == nil {
		t.Error("Start below a file: no error, want one")
	}
}
