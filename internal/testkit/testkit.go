// Package testkit holds what the tests of several rooms need. Nothing else imports it.
package testkit

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// CPUTime is what this process has used of the processors so far: unlike the clock's time it does not depend on what else they do.
func CPUTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// FreeAddress is a loopback address that nothing listens on until the test has a server listen on it, again and again if need be.
// A socket holds its port until the test's end: bound and never listening, with SO_REUSEADDR, it lets a server that sets the same
// option listen (Go's do), refuses connections meanwhile, and keeps the kernel from giving the port to anything that asks for any
// port. Without it, a connection of another test had the port now and then before the server did.
func FreeAddress(t testing.TB) string {
	t.Helper()
	syscall.ForkLock.RLock() // no child is started between the two calls, which would inherit the socket
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatalf("hold a port: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) }) // nothing was written to it
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatalf("hold a port: %v", err)
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("hold a port: %v", err)
	}
	inet, ok := address.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("hold a port: its address is a %T", address)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(inet.Addr), uint16(inet.Port)).String()
}
