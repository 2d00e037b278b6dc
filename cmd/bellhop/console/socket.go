package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// maxSocketPath is what fits a socket's address (sun_path, unix(7)) on every system.
const maxSocketPath = 100

// reachable returns a spelling of a socket's path that fits an address: a long one goes by way of its open folder. What it
// opened release closes.
func reachable(path string) (short string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path))
	return short, func() { _ = dir.Close() }, nil
}

// DialSocket connects to the Unix socket at a path of any length.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	short, release, err := reachable(path)
	if err != nil {
		return nil, err
	}
	defer release()
	return (&net.Dialer{}).DialContext(ctx, "unix", short)
}

// listenSocket listens on a Unix socket that only its owner may use. One that a dead daemon left is replaced.
func listenSocket(path string) (net.Listener, error) {
	if _, err := os.Lstat(path); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if c, err := DialSocket(ctx, path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("socket %s: another daemon answers there: give this one its own data_dir", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace the stale socket: %w", err)
		}
	}
	short, release, err := reachable(path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer release()
	l, err := net.Listen("unix", short)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	// The listener would remove the path it was opened by, which is not the file's once the folder is closed.
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), l.Close())
	}
	return &socket{Listener: l, path: path}, nil
}

// socket removes its file when it is closed.
type socket struct {
	net.Listener
	path string
}

// Close implements net.Listener.
func (s *socket) Close() error {
	err := s.Listener.Close()
	if rerr := os.Remove(s.path); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
