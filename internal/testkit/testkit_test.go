package testkit

import (
	"net"
	"testing"
)

// TestFreeAddressIsHeld asks for so many ports of the kernel's choice that one of them would be the held one, were it not held.
func TestFreeAddressIsHeld(t *testing.T) {
	held := FreeAddress(t)
	if c, err := net.Dial("tcp", held); err == nil {
		t.Errorf("a connection to %s, which nobody listens on, was made", held)
		_ = c.Close()
	}
	for range 3 {
		l, err := net.Listen("tcp", held)
		if err != nil {
			t.Fatalf("a server cannot listen on the held address: %v", err)
		}
		c, err := net.Dial("tcp", held)
		if err != nil {
			t.Fatalf("a connection to the server on the held address: %v", err)
		}
		_ = c.Close()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{held: true}
	for range 500 {
		address := FreeAddress(t)
		if seen[address] {
			t.Fatalf("%s was given out twice", address)
		}
		seen[address] = true
	}
}
