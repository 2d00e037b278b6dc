//go:build unix

package endpoint

import (
	"errors"
	"io"
	"syscall"
)

// rawSockets says that sockets can be read and written without the runtime's own calls around it.
const rawSockets = true

// pending tells whether an idle connection has anything to read: its end, its reset, or what nobody asked for.
func pending(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		if !errors.Is(err, syscall.EINTR) {
			return !errors.Is(err, syscall.EAGAIN)
		}
	}
}

// writeSocket writes what the socket takes at once. A full socket is no error.
func writeSocket(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), b)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		default:
			return 0, err
		}
	}
}

// readSocket reads what there is; again says that there is nothing yet.
func readSocket(fd uintptr, b []byte) (n int, again bool, err error) {
	for {
		n, err := syscall.Read(int(fd), b)
		switch {
		case err == nil && n == 0:
			return 0, false, io.EOF
		case err == nil:
			return n, false, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, true, nil
		default:
			return 0, false, err
		}
	}
}
