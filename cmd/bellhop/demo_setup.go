package main

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"bellhop/config"
)

//go:embed demo_rules/*.yaml
var demoRules embed.FS

// demoKey is the name of the file that holds the demo's signing secret, as demo_rules/audit.yaml has it.
const demoKey = "audit-key"

// demoShortened are the settings that a demo shortens, as variables: a flag wins over them.
var demoShortened = []string{
	"BELLHOP_DELIVERY__TIMEOUT=1s", "BELLHOP_DELIVERY__RETRIES=3", "BELLHOP_DELIVERY__INITIAL_DELAY=200ms", "BELLHOP_DELIVERY__MULTIPLIER=2",
	"BELLHOP_SHUTDOWN_TIMEOUT=5s",
}

// maxSocketPath is the longest path of a Unix socket, in bytes, that every system takes.
const maxSocketPath = 100

// demoFolder makes the temporary folder of a demo.
func demoFolder() (string, error) {
	dir, err := os.MkdirTemp("", "bellhop-demo-")
	if err == nil && len(filepath.Join(dir, demoData, socketName)) > maxSocketPath {
		// Some systems have long names for the temporary folder of each user.
		err = os.Remove(dir)
		if err == nil {
			dir, err = os.MkdirTemp("/tmp", "bellhop-demo-")
		}
	}
	if err != nil {
		return "", withHint(fmt.Errorf("a temporary folder for the demo: %w", err), "TMPDIR=/a/folder bellhop demo")
	}
	return dir, nil
}

// demoData is the data_dir in a demo's folder.
const demoData = "data"

// layOut writes the sample rules, with the receiver's ports, and the signing secret.
func layOut(dir string, ports *strings.Replacer, key []byte) error {
	for _, folder := range []string{"rules", "secrets", demoData} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	files, err := fs.Glob(demoRules, "demo_rules/*.yaml")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := demoRules.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "rules", path.Base(f)), []byte(ports.Replace(string(text))), 0o600); err != nil {
			return err
		}
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	// No bellhop.yaml is read; this one, empty, stands for it.
	return errors.Join(os.WriteFile(filepath.Join(dir, "secrets", demoKey), []byte(secret), 0o600),
		os.WriteFile(filepath.Join(dir, "bellhop.yaml"), nil, 0o600))
}

// configure makes the settings and compiles the rules. It tells whether the console may listen elsewhere than it says.
func (d *demo) configure(a *app, dir string) (anyConsole bool, err error) {
	for _, k := range config.Keys() {
		if brought(k.Path) && a.flags.Changed(k.Path) {
			return false, usagef("--%s does not go with demo, which brings its own", k.Path)
		}
	}
	file := a.configPath
	if file == "" {
		file = filepath.Join(dir, "bellhop.yaml")
	}
	loaded, err := config.Load(config.LoadOptions{File: file, Environ: demoShortened, Flags: a.flags})
	if err != nil {
		return false, a.configError(err)
	}
	s := loaded.Settings
	s.DataDir, s.Rules, s.SecretsDir = filepath.Join(dir, demoData), []string{filepath.Join(dir, "rules")}, filepath.Join(dir, "secrets")
	s.Node = "demo"
	s.NATS = config.NATS{Listen: "127.0.0.1:0", Replicas: 1, Sync: "interval"}
	s.Delivery.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	d.settings = &s
	files := loadRules(d.settings, nil, true)
	if files.set == nil {
		return false, fmt.Errorf("the demo's rules: %w", firstProblem(files.problems))
	}
	d.rules = files.set
	return loaded.Origin("console.listen") == (config.Origin{}), nil
}

// brought tells whether a demo sets the key itself.
func brought(key string) bool {
	switch key {
	case "data_dir", "rules", "secrets_dir", "node", "delivery.allow_networks", "delivery.proxy":
		return true
	}
	return strings.HasPrefix(key, "nats.")
}

// runningDaemon is a daemon that runs in this process.
type runningDaemon struct {
	*daemon
	stop  func()
	ended chan struct{} // closed when it has
	err   error         // why, once it has
}

// startDaemon runs a daemon and blocks until it consumes; both are nil where ctx ended before that.
func startDaemon(ctx context.Context, s *config.Settings, log *zap.Logger) (*runningDaemon, error) {
	// It outlives ctx, for what is under way to settle.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	up := make(chan struct{})
	r := &runningDaemon{stop: stop, ended: make(chan struct{})}
	r.daemon = &daemon{settings: s, log: log, started: func(*daemon) { close(up) }}
	go func() {
		defer close(r.ended)
		r.err = r.run(life)
	}()
	select {
	case <-up:
		return r, nil
	case <-r.ended:
		stop()
		return nil, r.err
	case <-ctx.Done():
		return nil, r.end()
	}
}

// end stops the daemon and blocks until it has ended.
func (r *runningDaemon) end() error {
	r.stop()
	<-r.ended
	return r.err
}
