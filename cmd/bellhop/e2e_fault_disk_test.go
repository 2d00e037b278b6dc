package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// smallDisk is a file system of a few megabytes, mounted for the processes that are run on it and for nobody else.
type smallDisk struct {
	w      *world
	at     string   // where it is mounted
	keeper *process // keeps the mount while others come and go
	enter  []string // the command line that runs another on it
}

// newSmallDisk mounts one. Where the system does not let it, the test is skipped, and fails in CI.
func newSmallDisk(w *world, at, size string) *smallDisk {
	w.Helper()
	if err := os.MkdirAll(at, 0o700); err != nil {
		w.Fatal(err)
	}
	script := fmt.Sprintf("mount -t tmpfs -o size=%s none %q && echo mounted && exec sleep 86400", size, at)
	ways := []struct{ unshare, nsenter []string }{
		{[]string{"--mount"}, []string{"--mount"}},
		{[]string{"--user", "--map-root-user", "--mount"}, []string{"--user", "--preserve-credentials", "--mount"}},
	}
	var said []string
	for _, way := range ways {
		if _, err := exec.LookPath("unshare"); err != nil {
			said = append(said, err.Error())
			break
		}
		keeper := start(w.T, exec.Command("unshare", append(way.unshare, "sh", "-c", script)...))
		ok := false
		w.until(10*time.Second, "the disk is mounted or refused", func() bool {
			_, ok = keeper.find("mounted")
			select {
			case <-keeper.exited:
				return true
			default:
				return ok
			}
		})
		if ok {
			enter := append([]string{"nsenter", "--target", fmt.Sprint(keeper.cmd.Process.Pid)}, way.nsenter...)
			return &smallDisk{w: w, at: at, keeper: keeper, enter: append(enter, "--")}
		}
		said = append(said, keeper.log())
	}
	if os.Getenv("CI") != "" {
		w.Fatalf("no file system can be mounted in a namespace of its own: %s", strings.Join(said, "; "))
	}
	w.Skipf("no file system can be mounted in a namespace of its own: %s", strings.Join(said, "; "))
	return nil
}

// command is one that runs on the disk.
func (d *smallDisk) command(binary string, args ...string) *exec.Cmd {
	line := append(append([]string{}, d.enter...), binary)
	return exec.Command(line[0], append(line[1:], args...)...)
}

// path is where everybody else finds a file of the disk.
func (d *smallDisk) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s/%s", d.keeper.cmd.Process.Pid, d.at, name)
}
