// Package testkit holds what the tests of several rooms need. Nothing else imports it.
package testkit

import (
	"math/rand/v2"
	"net"
	"strconv"
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

// FreeAddress is a loopback address that nothing listens on, for a server that stops and comes back. Its port is below those that
// the kernel gives to connections (from 32768 on, Linux's default), so that none of them has it meanwhile.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(22_000)))) //nolint:gosec // G404: any port will do
		if err == nil {
			address := l.Addr().String()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
