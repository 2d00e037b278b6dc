package endpoint

import (
	"context"
	"errors"
	"net/netip"
	"testing"
)

func TestLocalhostIsLoopbackInEverySpelling(t *testing.T) {
	g := guard{lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("asked the resolver") }}
	for _, host := range []string{"localhost.", "LOCALHOST.", "foo.localhost", "a.b.localhost."} {
		addrs, err := g.resolve(t.Context(), host)
		if err != nil || len(addrs) != 1 || !addrs[0].IsLoopback() {
			t.Errorf("resolve(%s) = %v, %v, want loopback", host, addrs, err)
		}
	}
	if _, err := g.resolve(t.Context(), "mylocalhost"); err == nil {
		t.Error("resolve(mylocalhost) did not ask the resolver")
	}
}
