// Package store keeps what operators define, the versions of their rule sets, and what can be rebuilt from the bus, the
// counts of outcomes, in one bbolt file. It holds no delivery and no resolved secret, and it never talks to the network.
package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	defaultTimeout      = time.Second
	defaultKeepVersions = 100
)

// errClosed is what every method answers after Close.
var errClosed = errors.New("the store is closed")

// Options configures Open. The zero value is what a daemon wants.
type Options struct {
	// ReadOnly opens a store that exists, changes nothing in it, and shares it with other readers. Methods that write
	// give an error.
	ReadOnly bool
	// Timeout is how long to wait for another process to let go of the file; 0 means one second.
	Timeout time.Duration
	// KeepVersions is how many entries the history of rule sets keeps; 0 means 100. The current one always stays.
	KeepVersions int
	// Indexed is how many outcomes the index holds at most, the newest; 0 means 5,000,000, which take 200 MB.
	Indexed uint64
	// NoSync leaves out the syncs that make a commit survive a power cut. For tests only.
	NoSync bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	path     string
	readOnly bool
	keep     int
	indexed  uint64
	now      func() time.Time
	meta     metadata

	db   *bolt.DB
	file *os.File // bbolt's own, which closes it; for Size alone

	// mu makes writers one: a snapshot must be published in the order of its commit.
	mu     sync.Mutex
	broken error // a write panicked half way: nothing more is written
	index  *indexer

	closed   atomic.Bool
	snapshot atomic.Pointer[snapshot]
}

// Open opens the store at path and takes its lock, which it holds until Close. It creates the folder (mode 0700) and the
// file (mode 0600) where they are missing, and brings a store of an older Bellhop up to date in one transaction.
//
// What cannot be a sound store gives an error that says why, never a panic: the file's structure is verified before it
// is mapped. The error is an *InUseError where another process holds the file, wraps ErrDamaged where it is broken or no
// store at all, and wraps fs.ErrNotExist where there is none to open for reading.
func Open(path string, o Options) (*Store, error) {
	s, err := open(path, o, current)
	if errors.Is(err, ErrDamaged) {
		return nil, fmt.Errorf("%w; move the file away to start afresh: rules come from their files and counts from the bus, "+
			"only the history of rules is lost", err)
	}
	return s, err
}

func open(path string, o Options, sc schema) (_ *Store, err error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.KeepVersions <= 0 {
		o.KeepVersions = defaultKeepVersions
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Indexed == 0 {
		o.Indexed = defaultIndexed
	}
	s := &Store{path: path, readOnly: o.ReadOnly, keep: o.KeepVersions, indexed: o.Indexed, now: o.Now}

	f, created, err := openFile(path, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release(f) // bbolt may have closed it already
		}
	}()
	// The lock comes first: a file that its owner is writing to looks damaged.
	if err := lock(f, path, o.ReadOnly, o.Timeout); err != nil {
		return nil, err
	}
	if err := s.verify(f, o.ReadOnly); err != nil {
		return nil, err
	}
	if err := s.guard("open", func() error { return s.mapFile(f, o) }); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.db.Close()
		}
	}()
	if err := s.prepare(sc); err != nil {
		return nil, err
	}
	if err := s.loadSnapshot(); err != nil {
		return nil, err
	}
	if created {
		// Without this a power cut could take the file's name, with everything committed to it since.
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("create store %s: %w", path, err)
		}
	}
	return s, nil
}

// openFile opens or creates the file, and tells whether it was created.
func openFile(path string, readOnly bool) (f *os.File, created bool, err error) {
	if readOnly {
		if err := regular(path); err != nil {
			return nil, false, err
		}
		if f, err = os.Open(path); err != nil {
			return nil, false, fmt.Errorf("open store %s: %w", path, cause(err))
		}
		return f, false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, false, fmt.Errorf("create the folder of store %s: %w", path, err)
	}
	if err := regular(path); errors.Is(err, os.ErrNotExist) {
		created = true
	} else if err != nil {
		return nil, false, err
	}
	if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, false, fmt.Errorf("open store %s: %w", path, cause(err))
	}
	return f, created, nil
}

// regular refuses what is no file before it is opened: opening a named pipe would wait for ever.
func regular(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("open store %s: %w", path, cause(err))
	case info.IsDir():
		return fmt.Errorf("open store %s: it is a folder, and a file is wanted", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("open store %s: it is no regular file (%s)", path, info.Mode().Type())
	}
	return nil
}

// cause takes the operation and the path off an error of package os: ours name them already.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// verify checks the file's structure. An empty file is a store that has yet to be made.
func (s *Store) verify(f *os.File, readOnly bool) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.path, cause(err))
	}
	if info.Size() == 0 {
		if readOnly {
			return fmt.Errorf("store %s is empty: no daemon has used it yet: %w", s.path, os.ErrNotExist)
		}
		return nil
	}
	if err := verifyFile(f, info.Size()); err != nil {
		return fmt.Errorf("store %s: %w", s.path, err)
	}
	return nil
}

// mapFile hands the open and locked file to bbolt.
func (s *Store) mapFile(f *os.File, o Options) error {
	handed := false
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{
		Timeout:      o.Timeout,
		ReadOnly:     o.ReadOnly,
		NoSync:       o.NoSync,
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			if handed { // bbolt opens the file again to copy itself
				return os.OpenFile(name, flag, perm)
			}
			handed = true
			return f, nil
		},
	})
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.path, err)
	}
	s.db, s.file = db, f
	return nil
}

// Close waits for the transactions under way and lets go of the file. Closing twice does no harm.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		release(s.file) // bbolt's own Close may wait for ever for a writer that will not end
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store %s: %w", s.path, err)
	}
	return nil
}

// Path is the path that the store was opened with.
func (s *Store) Path() string { return s.path }

// ID names this store: random, made with it, the same until the file is removed.
func (s *Store) ID() string { return s.meta.id }

// Created is when the store was made.
func (s *Store) Created() time.Time { return s.meta.created }

// Size is the file's size in bytes, 0 after Close. The file never shrinks: what is removed makes room within it.
func (s *Store) Size() int64 {
	info, err := s.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// Check verifies the whole file: the structure that Open verifies, each page used exactly once, and every record
// readable. It holds writers up while it runs, which is for seconds where the file is large.
func (s *Store) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return errClosed
	}
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("check store %s: %w", s.path, err)
	}
	// First, because a fault in bbolt's check, which runs on a goroutine of its own, would end the process.
	if err := verifyFile(s.file, info.Size()); err != nil {
		return fmt.Errorf("check store %s: %w", s.path, err)
	}
	return s.view("check", func(tx *bolt.Tx) error {
		var errs []error
		for err := range tx.Check() {
			if len(errs) < 10 { // but drain all: the sender waits
				errs = append(errs, err)
			}
		}
		errs = append(errs, checkVersions(tx), checkProjection(tx))
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil
	})
}

// view runs a reading transaction. Bytes of the transaction die with it: fn decodes what it takes out.
func (s *Store) view(verb string, fn func(*bolt.Tx) error) error {
	if s.closed.Load() {
		return errClosed
	}
	return s.guard(verb, func() error { return s.wrap(verb, s.db.View(fn)) })
}

// update runs a writing transaction: all of it is committed, and on disk, or none.
// The caller holds s.mu.
func (s *Store) update(verb string, fn func(*bolt.Tx) error) error {
	switch {
	case s.closed.Load():
		return errClosed
	case s.readOnly:
		return fmt.Errorf("%s: store %s is open for reading only", verb, s.path)
	case s.broken != nil:
		return s.broken
	}
	done := false
	err := s.guard(verb, func() error {
		err := s.wrap(verb, s.db.Update(fn))
		done = true
		return err
	})
	if !done {
		s.broken = err
	}
	return err
}

// wrap names the work and the file in an error of a transaction.
func (s *Store) wrap(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return errClosed
	case errors.Is(err, ErrNoVersion):
		return err // an answer to the caller's question, in which the file's name is noise
	}
	return fmt.Errorf("%s: store %s: %w", verb, s.path, err)
}

// guard turns a panic into an error. bbolt asserts its invariants with panics, and reads by a memory mapping, where a
// failing disk or a file cut short under a running daemon is a fault that would end the process.
func (s *Store) guard(verb string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: store %s: %w: %v", verb, s.path, ErrDamaged, r)
		}
	}()
	return fn()
}

// syncDir makes the names in a folder survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	// Some file systems cannot sync a folder, and need not be refused for that.
	_ = d.Sync()
	return d.Close()
}
