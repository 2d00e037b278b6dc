package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

// childEnv makes the test binary a second process that uses a store: "hold PATH", "read PATH" or "count PATH".
const childEnv = "BELLHOP_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if role, path, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		if err := child(role, path); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child works on a store in a process of its own, until its standard input ends.
func child(role, path string) error {
	s, err := Open(path, Options{ReadOnly: role == "read"})
	if err != nil {
		return err
	}
	if role == "count" {
		return countForever(s)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

// startChild starts a child and gives what it prints. The child ends with the test, at the latest.
func startChild(t *testing.T, role, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role+" "+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(stdout)
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// clock ticks a second each time it is asked.
func clock() func() time.Time {
	var mu sync.Mutex
	now := epoch
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

// openStore opens a store that is checked and closed when the test ends.
func openStore(t *testing.T, path string, o Options) *Store {
	t.Helper()
	o.NoSync = true
	if o.Now == nil {
		o.Now = clock()
	}
	s, err := Open(path, o)
	if err != nil {
		t.Fatalf("Open(%s) = %v, want a store", path, err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// closeStore checks a store and closes it, unless the test has closed it.
func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if s.closed.Load() {
		return
	}
	if err := s.Check(); err != nil {
		t.Errorf("Check() = %v, want a consistent store", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
}

func dbPath(t *testing.T) string { return filepath.Join(t.TempDir(), "bellhop.db") }

func TestOpenCreatesFolderAndFileForTheOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "bellhop.db")
	s := openStore(t, path, Options{})
	for _, want := range []struct {
		path string
		mode fs.FileMode
	}{{filepath.Dir(path), 0o700}, {filepath.Dir(filepath.Dir(path)), 0o700}, {path, 0o600}} {
		info, err := os.Stat(want.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want.mode {
			t.Errorf("mode of %s = %o, want %o", want.path, got, want.mode)
		}
	}
	if s.Size() <= 0 {
		t.Errorf("Size() = %d, want the size of the file", s.Size())
	}
	if s.Path() != path {
		t.Errorf("Path() = %s, want %s", s.Path(), path)
	}
}

func TestIdentitySurvivesReopening(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	id, created := s.ID(), s.Created()
	if len(id) < 16 || !created.Equal(epoch.Add(time.Second)) {
		t.Errorf("ID, Created = %q, %v, want a random id and the time of creation", id, created)
	}
	closeStore(t, s)
	again := openStore(t, path, Options{})
	if again.ID() != id || !again.Created().Equal(created) {
		t.Errorf("reopened: ID, Created = %q, %v, want %q, %v", again.ID(), again.Created(), id, created)
	}
	if other := openStore(t, dbPath(t), Options{}); other.ID() == id {
		t.Errorf("two stores have the id %q", id)
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := filepath.Join(dir, "foreign.db")
	db, err := bolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("members"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	sqlite := append([]byte("SQLite format 3\x00"), make([]byte, 8176)...)

	tests := []struct {
		name     string
		path     string
		readOnly bool
		want     string
		damaged  bool
	}{
		{name: "a text", path: write("text", []byte("rules: []\n")), want: "10 bytes are too few", damaged: true},
		{name: "a long text", path: write("long", []byte(strings.Repeat("rules: []\n", 9999))), want: "no header of a store", damaged: true},
		{name: "an sqlite file", path: write("sqlite", sqlite), want: "no header of a store", damaged: true},
		{name: "zeros", path: write("zeros", make([]byte, 16384)), want: "all zeros", damaged: true},
		{name: "another program's bbolt file", path: foreign, want: "another program", damaged: true},
		{name: "a folder", path: dir, want: "it is a folder"},
		{name: "a folder, to read", path: dir, readOnly: true, want: "it is a folder"},
		{name: "a named pipe, to read", path: fifo, readOnly: true, want: "no regular file"},
		{name: "a file as the folder", path: filepath.Join(write("f", []byte("x")), "bellhop.db"), want: "not a directory"},
		{name: "nothing, to read", path: filepath.Join(dir, "none"), readOnly: true, want: "no such file"},
		{name: "an empty file, to read", path: write("empty", nil), readOnly: true, want: "no daemon has used it"},
	}
	for _, tt := range tests {
		before := content(t, tt.path)
		s, err := Open(tt.path, Options{ReadOnly: tt.readOnly, NoSync: true})
		if err == nil {
			closeStore(t, s)
			t.Errorf("Open(%s) succeeds, want an error with %q", tt.name, tt.want)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("Open(%s) = %q, want an error with %q and the path", tt.name, err, tt.want)
		}
		if errors.Is(err, ErrDamaged) != tt.damaged {
			t.Errorf("Open(%s) = %q, is ErrDamaged: %v, want %v", tt.name, err, !tt.damaged, tt.damaged)
		}
		if content(t, tt.path) != before {
			t.Errorf("Open(%s) changes the file it refuses", tt.name)
		}
	}
}

// content gives what a file holds, "" where it is none.
func content(t *testing.T, path string) string {
	t.Helper()
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestOpenTellsThatPermissionIsMissing(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := dbPath(t)
	closeStore(t, openStore(t, path, Options{}))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open of an unreadable file = %v, want permission denied, with the path", err)
	}
}

func TestOpenFinishesAStoreThatAKillLeftUnfinished(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blank := filepath.Join(t.TempDir(), "blank.db")
	db, err := bolt.Open(blank, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(blank, Options{ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "holds nothing yet") {
		t.Errorf("Open of an unfinished store for reading = %v, want that it holds nothing yet", err)
	}
	for _, path := range []string{empty, blank} {
		if s := openStore(t, path, Options{}); s.ID() == "" {
			t.Errorf("Open(%s) gives a store without an id", path)
		}
	}
}

func TestSecondProcessIsToldWhoHoldsTheStore(t *testing.T) {
	path := dbPath(t)
	cmd, out := startChild(t, "hold", path)
	if !out.Scan() || out.Text() != "ready" {
		t.Fatalf("the holder says %q, want ready", out.Text())
	}
	for _, readOnly := range []bool{false, true} {
		_, err := Open(path, Options{ReadOnly: readOnly, Timeout: 30 * time.Millisecond})
		var inUse *InUseError
		if !errors.As(err, &inUse) {
			t.Fatalf("Open(read only %v) of a held store = %v, want an InUseError", readOnly, err)
		}
		want := fmt.Sprintf("store %s is in use by process %d: stop it, or give this daemon its own data_dir", path, cmd.Process.Pid)
		if runtime.GOOS != "linux" {
			want = "store " + path + " is in use by another process: stop it, or give this daemon its own data_dir"
		}
		if err.Error() != want {
			t.Errorf("Open(read only %v) of a held store = %q, want %q", readOnly, err, want)
		}
	}
	// The lock dies with its process, however that ends.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	openStore(t, path, Options{Timeout: 30 * time.Second})
}

func TestReadersShareAStoreAndHoldAWriterOff(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	put(t, s, "aaaa00000001", "one")
	closeStore(t, s)

	_, out := startChild(t, "read", path)
	if !out.Scan() || out.Text() != "ready" {
		t.Fatalf("the reader says %q, want ready", out.Text())
	}
	r := openStore(t, path, Options{ReadOnly: true})
	if v, err := r.Current(); err != nil || v.Digest != "aaaa00000001" {
		t.Errorf("Current() beside another reader = %v, %v, want aaaa00000001", v, err)
	}
	if _, err := Open(path, Options{Timeout: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "is in use by process") {
		t.Errorf("Open beside readers = %v, want that it is in use", err)
	}
}

func TestReadOnlyStoreRefusesToWrite(t *testing.T) {
	path := dbPath(t)
	closeStore(t, openStore(t, path, Options{}))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path, Options{ReadOnly: true})
	_, putErr := s.PutVersion(Version{Digest: "aaaa00000001"})
	_, rollErr := s.Rollback(1)
	for name, err := range map[string]error{
		"PutVersion": putErr, "Rollback": rollErr, "Reset": s.Reset(),
		"Begin": s.Begin(stream, epoch), "Apply": s.Apply(stream, nil, 1),
	} {
		if err == nil || !strings.Contains(err.Error(), "for reading only") {
			t.Errorf("%s on a store open for reading = %v, want an error that says so", name, err)
		}
	}
	if _, err := s.Current(); !errors.Is(err, ErrNoVersion) {
		t.Errorf("Current() of a new store = %v, want ErrNoVersion", err)
	}
	closeStore(t, s)
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("reading a store changes its file (%v)", err)
	}
}

func TestClosedStoreAnswersWithAnError(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v, want nil, however often", err)
		}
	}
	_, putErr := s.PutVersion(Version{Digest: "aaaa00000001"})
	_, currentErr := s.Current()
	_, historyErr := s.History()
	_, statsErr := s.Stats()
	_, countsErr := s.Counts()
	_, cursorErr := s.Cursor(stream)
	for name, err := range map[string]error{
		"PutVersion": putErr, "Current": currentErr, "History": historyErr, "Stats": statsErr, "Counts": countsErr,
		"Cursor": cursorErr, "Apply": s.Apply(stream, nil, 1), "Check": s.Check(),
	} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s after Close = %v, want %v", name, err, errClosed)
		}
	}
	if s.Size() != 0 {
		t.Errorf("Size() after Close = %d, want 0", s.Size())
	}
}

func TestPanicInATransactionIsAnErrorAndEndsWriting(t *testing.T) {
	path := dbPath(t)
	s, err := Open(path, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = s.view("look", func(*bolt.Tx) error { panic("page 7 already freed") })
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "page 7 already freed") {
		t.Errorf("a panic while reading = %v, want ErrDamaged with its text", err)
	}
	if err := s.Reset(); err != nil {
		t.Errorf("Reset() after a panic while reading = %v, want nil", err)
	}
	s.mu.Lock()
	err = s.update("change", func(*bolt.Tx) error { panic("page 8 already freed") })
	s.mu.Unlock()
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("a panic while writing = %v, want ErrDamaged", err)
	}
	if err := s.Reset(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Reset() after a panic while writing = %v, want that error again", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close() after a panic while writing = %v, want nil", err)
	}
	openStore(t, path, Options{}) // nothing of it was committed
}

func TestConcurrentUse(t *testing.T) {
	s := openStore(t, dbPath(t), Options{KeepVersions: 5})
	put(t, s, "aaaa00000000", "start")
	const workers, rounds = 4, 25
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				digest := fmt.Sprintf("bbbb%04d%04d", w, i)
				if _, err := s.PutVersion(Version{Digest: digest, Files: files(digest)}); err != nil {
					t.Errorf("PutVersion(%s) = %v, want nil", digest, err)
				}
				if _, err := s.History(); err != nil {
					t.Errorf("History() = %v, want nil", err)
				}
				// It may have been pruned in between; nothing else may go wrong.
				if _, err := s.Get(digest); err != nil && !errors.Is(err, ErrNoVersion) {
					t.Errorf("Get(%s) = %v, want the version, or that it is gone", digest, err)
				}
			}
		})
		wg.Go(func() {
			for i := range rounds {
				seq := uint64(i + 1)
				if err := s.Apply(stream, []Tally{{Seq: seq, Outcome: "delivered", Time: epoch}}, seq); err != nil {
					t.Errorf("Apply(%d) = %v, want nil", seq, err)
				}
				if st, err := s.Stats(); err != nil || st.Calls < 1 || st.Calls > rounds {
					t.Errorf("Stats() = %+v, %v, want 1 to %d calls", st, err, rounds)
				}
			}
		})
	}
	wg.Wait()
	if st, _ := s.Stats(); st.Delivered != rounds {
		t.Errorf("delivered = %d after the same %d outcomes from %d goroutines, want %d", st.Delivered, rounds, workers, rounds)
	}
}
