package bus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"bellhop/internal/testkit"
)

// certificate makes a key pair that is its own authority, for 127.0.0.1.
func certificate(t *testing.T) (pair tls.Certificate, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("generate key: %v", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bus test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("create certificate: %v", err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatalf("write certificate: %v", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca
}

func TestConnectErrorsNameWhatToMend(t *testing.T) {
	t.Parallel()
	pair, ca := certificate(t)
	_, otherCA := certificate(t)
	secured := func() *server.Options {
		return &server.Options{JetStream: true, TLS: true, TLSTimeout: 5, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	}
	for _, c := range []struct {
		name  string
		serve *server.Options // nil: nobody listens
		o     Options
		want  []string
		not   string
	}{
		{"nobody listens", nil, Options{}, []string{"connect to NATS at nats://127.0.0.1:"}, ""},
		{
			"wrong password", &server.Options{JetStream: true, Username: "bell", Password: "right"},
			Options{User: "bell", Password: "hunter2", Persist: true}, []string{"refused the credentials", "nats.user and nats.password"}, "hunter2",
		},
		{
			"no credentials", &server.Options{JetStream: true, Username: "bell", Password: "right"}, Options{Persist: true},
			[]string{"refused the credentials"}, "",
		},
		{
			"wrong token", &server.Options{JetStream: true, Authorization: "right"}, Options{Token: "hunter2", Persist: true},
			[]string{"refused the credentials", "nats.token"}, "hunter2",
		},
		{"no JetStream", &server.Options{}, Options{Persist: true}, []string{"JetStream is not enabled", "start nats-server with -js"}, ""},
		{"an authority that nobody trusts", secured(), Options{CA: otherCA, Persist: true}, []string{"TLS with NATS", "nats.tls"}, ""},
		{"TLS wanted, not offered", &server.Options{JetStream: true}, Options{CA: ca, Persist: true}, []string{"TLS with NATS", "nats.tls"}, ""},
		{"an authority file that is not there", &server.Options{JetStream: true}, Options{CA: "/nowhere/ca.pem", Persist: true}, []string{"/nowhere/ca.pem"}, ""},
		{"a seed file that is not there", &server.Options{JetStream: true}, Options{NKey: "/nowhere/seed", Persist: true}, []string{"nats.nkey", "/nowhere/seed"}, ""},
		{
			"a credentials file that is not there", &server.Options{JetStream: true}, Options{Credentials: "/nowhere/x.creds", Persist: true},
			[]string{"/nowhere/x.creds"}, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.o.URL = "nats://" + testkit.FreeAddress(t)
			if c.serve != nil {
				c.o.URL = startWith(t, c.serve)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, errEnded)
			defer cancel()
			b, err := Connect(ctx, c.o)
			if err == nil {
				b.Close()
				t.Fatal("Connect returned no error")
			}
			if errors.Is(err, errEnded) {
				t.Errorf("Connect tried until its context ended, want the refusal at once: %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Connect: %v; want it to hold %q", err, want)
				}
			}
			if c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("Connect: %v; it shows the secret %q", err, c.not)
			}
		})
	}
}

func TestConnectOverTLS(t *testing.T) {
	t.Parallel()
	pair, ca := certificate(t)
	url := startWith(t, &server.Options{
		JetStream: true, TLS: true, TLSTimeout: 5, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}, Username: "bell", Password: "right",
	})
	b := connect(t, Options{URL: strings.Replace(url, "nats://", "tls://", 1), CA: ca, User: "bell", Password: "right"})
	if !b.Connected() {
		t.Error("Connected() = false after Connect")
	}
	if strings.Contains(b.Address(), "right") {
		t.Errorf("Address() = %q shows the password", b.Address())
	}
}

func TestConnectPersists(t *testing.T) {
	t.Parallel()
	address := testkit.FreeAddress(t)
	waiting := make(chan struct{})
	var once atomic.Bool
	o := Options{URL: "nats://" + address, Persist: true, Log: func(_ string, err error) {
		if err != nil && once.CompareAndSwap(false, true) {
			close(waiting)
		}
	}}
	type result struct {
		b   *Bus
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := Connect(t.Context(), o)
		done <- result{b, err}
	}()
	<-waiting
	s, err := StartServer(ServerOptions{Dir: t.TempDir(), Listen: address})
	if err != nil {
		t.Fatalf("StartServer: %v", err)
	}
	t.Cleanup(s.Close)
	r := <-done
	if r.err != nil {
		t.Fatalf("Connect with Persist, the server being late: %v", r.err)
	}
	r.b.Close()
}

func TestConnectPersistEndsWithItsContext(t *testing.T) {
	t.Parallel()
	if _, err := Connect(canceled(t), Options{URL: "nats://" + testkit.FreeAddress(t), Persist: true}); !errors.Is(err, errEnded) {
		t.Errorf("Connect = %v, want the context's cause", err)
	}
}

func TestConnectInProcess(t *testing.T) {
	t.Parallel()
	s, err := StartServer(ServerOptions{Dir: t.TempDir(), User: "bell", Password: "right"})
	if err != nil {
		t.Fatalf("StartServer: %v", err)
	}
	t.Cleanup(s.Close)
	if s.URL() != "" {
		t.Errorf("URL() of a server that listens nowhere = %q, want none", s.URL())
	}
	b := connect(t, Options{Server: s, User: "bell", Password: "right"})
	setup(t, b, testTopology())
	if !b.Schedules() {
		t.Error("Schedules() = false on the embedded server")
	}
	if got := b.MaxPayload(); got != EmbeddedMaxPayload {
		t.Errorf("MaxPayload() = %d, want %d", got, EmbeddedMaxPayload)
	}
}

func TestServerOnATakenAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	defer l.Close()
	_, err = StartServer(ServerOptions{Dir: t.TempDir(), Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "nats.listen") || !strings.Contains(err.Error(), "nats.url") {
		t.Errorf("StartServer on a taken address = %v, want an error that names nats.listen and nats.url", err)
	}
	for _, bad := range []string{"nonsense", "127.0.0.1:port"} {
		if s, err := StartServer(ServerOptions{Dir: t.TempDir(), Listen: bad}); err == nil {
			s.Close()
			t.Errorf("StartServer(Listen: %q) succeeded", bad)
		}
	}
}
