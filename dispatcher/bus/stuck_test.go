package bus

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// TestServerThatNoLongerReads: a server that keeps its connections and reads nothing blocks neither those who ask whether it is there
// nor those who publish, and is soon taken for gone.
func TestServerThatNoLongerReads(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(startEmbedded(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	frozen := make(chan struct{})
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", u.Host)
			if err != nil {
				_ = client.Close()
				return
			}
			conns.Go(func() {
				_, _ = io.Copy(client, server)
				_ = client.Close()
			})
			conns.Go(func() {
				defer server.Close()
				buf := make([]byte, 4096)
				for {
					select {
					case <-frozen:
						<-t.Context().Done()
						return
					default:
					}
					n, err := client.Read(buf)
					if err != nil {
						return
					}
					if _, err := server.Write(buf[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(conns.Wait)
	t.Cleanup(func() { _ = l.Close() })
	b := connect(t, Options{URL: "nats://" + l.Addr().String()})
	close(frozen)
	_ = l.Close() // nothing takes the next connection
	conns.Go(func() {
		// More than sockets hold.
		for data := make([]byte, 64<<10); t.Context().Err() == nil && b.Connected(); {
			if err := b.nc().Publish("any", data); err != nil {
				return
			}
		}
	})
	begun := time.Now()
	for b.Connected() {
		if time.Since(begun) > 6*writeWithin {
			t.Fatalf("connected %s after the server stopped to read", time.Since(begun))
		}
		time.Sleep(50 * time.Millisecond) // a poll's pause
	}
	if took := time.Since(begun); took > 4*writeWithin {
		t.Errorf("it took %s to find that the server does not read, want about %s", took, writeWithin)
	}
}
