package bus

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// oldBinary is nats-server 2.9, the oldest that Bellhop works with, as Debian 12 packages it.
const oldBinary = "/usr/sbin/nats-server"

// oldServer is a nats-server in a process of its own.
type oldServer struct {
	url string

	dir, port string
	cmd       *exec.Cmd
}

// startOld starts nats-server 2.9 on a free port with a store of its own. It is killed when the test ends.
func startOld(t *testing.T) *oldServer {
	t.Helper()
	if _, err := os.Stat(oldBinary); err != nil {
		if inCI() {
			t.Fatalf("nats-server 2.9 is needed in CI (apt-get install nats-server): %v", err)
		}
		t.Skipf("no nats-server 2.9 here (apt-get install nats-server): %v", err)
	}
	s := &oldServer{dir: t.TempDir(), port: "-1"}
	s.start(t)
	t.Cleanup(func() { s.kill(t) })
	return s
}

func (s *oldServer) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(oldBinary, "-a", "127.0.0.1", "-p", s.port, "-js", "-sd", filepath.Join(s.dir, "store"), "--ports_file_dir", s.dir)
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", oldBinary, err)
	}
	// It writes down where it listens once it does.
	file := filepath.Join(s.dir, fmt.Sprintf("nats-server_%d.ports", s.cmd.Process.Pid))
	var ports struct{ NATS []string }
	until(t, 10*time.Second, "nats-server 2.9 listens", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &ports) == nil && len(ports.NATS) > 0
	})
	s.url = ports.NATS[0]
	host := s.url[len("nats://"):]
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	s.port = port
	until(t, 10*time.Second, "nats-server 2.9 takes connections", func() bool {
		c, err := net.Dial("tcp", host)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// kill ends the server as a crash does.
func (s *oldServer) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Errorf("kill nats-server: %v", err)
	}
	_ = s.cmd.Wait() // killed: that is its error
}
