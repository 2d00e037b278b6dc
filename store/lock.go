package store

import (
	"fmt"
	"os"
	"time"
)

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 20 * time.Millisecond

// InUseError says that another process holds the store.
type InUseError struct {
	Path string
	PID  int // 0 where it cannot be told
}

// Error implements error.
func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("store %s is in use by %s: stop it, or give this daemon its own data_dir", e.Path, who)
}

// lock takes the file's lock, shared for a reader, and waits for it for at most timeout. The lock belongs to the open
// file, so that bbolt, which locks the same file again, finds itself its owner.
func lock(f *os.File, path string, shared bool, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		held, err := tryLock(f, shared)
		switch {
		case err != nil:
			return fmt.Errorf("lock store %s: %w", path, err)
		case held:
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return &InUseError{Path: path, PID: holder(f)}
		}
		time.Sleep(min(left, lockPoll))
	}
}

// release lets go of a file that bbolt was given and may not close any more. Closing does not unlock it: a mapping that a
// panic left behind keeps the open file, and its lock, until the process ends.
func release(f *os.File) {
	unlock(f)
	_ = f.Close()
}
