//go:build (linux && !android) || darwin || freebsd || netbsd || openbsd || dragonfly

package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// tryLock takes the lock that bbolt itself takes on this system, and tells whether it got it.
func tryLock(f *os.File, shared bool) (bool, error) {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

// unlock gives the lock back, where there is one.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// holder finds the process that holds the file's lock, 0 where it cannot be told. The kernel's list of locks is asked
// instead of a file beside the store, because such a file outlives a process that is killed, and then names a stranger.
func holder(f *os.File) int {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	locks, err := os.Open("/proc/locks") // Linux; elsewhere there is none
	if err != nil {
		return 0
	}
	defer func() { _ = locks.Close() }()
	inode := strconv.FormatUint(uint64(st.Ino), 10)
	for sc := bufio.NewScanner(locks); sc.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4242 fe:00:9978144 0 EOF, with "->" before the kind for one that waits.
		fields := strings.Fields(sc.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		if err != nil || pid <= 0 || !strings.HasSuffix(fields[5], ":"+inode) {
			continue
		}
		// Inode numbers repeat across file systems, and device numbers differ from stat's on some.
		if hasOpen(pid, info) {
			return pid
		}
	}
	return 0
}

// hasOpen tells whether the process has the file open.
func hasOpen(pid int, want os.FileInfo) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		// Another user's process hides its files; then the inode must do.
		return errors.Is(err, os.ErrPermission)
	}
	for _, fd := range fds {
		if info, err := os.Stat(filepath.Join(dir, fd.Name())); err == nil && os.SameFile(info, want) {
			return true
		}
	}
	return false
}
