package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// load loads with the text as the file, "" for none, and the environment and arguments given.
func load(t *testing.T, text string, environ []string, args ...string) (*Loaded, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if text != "" {
		if err := os.WriteFile("bellhop.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	RegisterFlags(set)
	if err := set.Parse(args); err != nil {
		t.Fatalf("flags %q: %v", args, err)
	}
	return Load(LoadOptions{Environ: append([]string{"HOME=/root"}, environ...), Flags: set})
}

func TestLoadFillsInTheDefaults(t *testing.T) {
	want := Settings{
		DataDir: "./data", Rules: []string{"./rules"},
		NATS:    NATS{Listen: "127.0.0.1:4222", Replicas: 1, Sync: "interval"},
		Events:  Events{Stream: "EVENTS", Prefix: "events", Consumer: "bellhop", MaxBytes: 1 << 20, Start: "new", MaxAge: 168 * time.Hour},
		Results: Results{Stream: "WEBHOOKS", Prefix: "webhooks", MaxAge: 168 * time.Hour, RequestBody: true, ResponseBody: true},
		Retries: Retries{Stream: "WEBHOOK_RETRIES"}, SecretsDir: "/run/secrets", ShutdownTimeout: 30 * time.Second,
		Delivery: Delivery{Workers: 256, PerEndpoint: 64, Timeout: 10 * time.Second, Retries: 10, InitialDelay: 5 * time.Second,
			Multiplier: 2, RetryOn: []string{"timeout", "network", "408", "425", "429", "5xx"}, Encoding: "normalize",
			AllowNetworks: []netip.Prefix{}},
		Console: Console{Listen: "127.0.0.1:8420", EmbedOrigins: []string{}}, Log: Log{Level: "info", Format: "auto"},
		Telemetry: Telemetry{ServiceName: "bellhop", SampleRatio: 1},
	}
	full, err := os.ReadFile("../testdata/config/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no file": "", "an empty file": "# nothing\n", "the documented file": string(full), "empty groups": "nats:\nlog: {}\n",
	} {
		got, err := load(t, text, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(got.Settings, want) {
			t.Errorf("%s gives %+v, want %+v", name, got.Settings, want)
		}
	}
}

func TestLoadTakesTheLastLayer(t *testing.T) {
	file := "nats:\n  replicas: 2\n  url: nats://file:4222\n"
	for _, c := range []struct {
		name     string
		file     string
		env      []string
		args     []string
		replicas int
		origin   string
	}{
		{"default", "", nil, nil, 1, "default"},
		{"file", file, nil, nil, 2, "bellhop.yaml:2"},
		{"environment", file, []string{"BELLHOP_NATS__REPLICAS=3"}, nil, 3, "env BELLHOP_NATS__REPLICAS"},
		{"flag", file, []string{"BELLHOP_NATS__REPLICAS=3"}, []string{"--nats.replicas=4"}, 4, "flag --nats.replicas"},
		{"flag with dashes", file, nil, []string{"--nats-replicas", "5"}, 5, "flag --nats.replicas"},
	} {
		got, err := load(t, c.file, c.env, c.args...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Settings.NATS.Replicas != c.replicas || got.Origin("nats.replicas").String() != c.origin {
			t.Errorf("%s gives %d from %s, want %d from %s", c.name, got.Settings.NATS.Replicas, got.Origin("nats.replicas"),
				c.replicas, c.origin)
		}
	}
}

func TestLoadReadsEveryKindFromTheEnvironmentAndFlags(t *testing.T) {
	got, err := load(t, "", []string{
		"BELLHOP_DATA_DIR=/var/lib/bellhop",
		"BELLHOP_RULES=a.yaml, b",
		"BELLHOP_RESULTS__REQUEST_BODY=false",
		"BELLHOP_EVENTS__MAX_BYTES=2MiB",
		"BELLHOP_EVENTS__MAX_AGE=7d",
		"BELLHOP_NATS__TLS__CA=ca.pem",
		"BELLHOP_DELIVERY__RETRY_ON=[timeout, 503]",
		"BELLHOP_DELIVERY__LANES=[{endpoint: https://CRM.example.com/hooks, concurrency: 8, rate: 30/m}]",
		"BELLHOP_CONSOLE__LISTEN=",
		"BELLHOP_SECRET_CRM=x",
		"BELLHOP_CONFIG=",
	}, "--delivery.allow-networks", "127.0.0.1", "--delivery.allow_networks=fd00::/8,10.0.0.0/8", "--results.response-body=false",
		"--delivery.multiplier", "1.5")
	if err != nil {
		t.Fatal(err)
	}
	s := got.Settings
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"data_dir", s.DataDir, "/var/lib/bellhop"},
		{"rules", s.Rules, []string{"a.yaml", "b"}},
		{"results.request_body", s.Results.RequestBody, false},
		{"results.response_body", s.Results.ResponseBody, false},
		{"events.max_bytes", s.Events.MaxBytes, int64(2 << 20)},
		{"events.max_age", s.Events.MaxAge, 168 * time.Hour},
		{"nats.tls.ca", s.NATS.TLS.CA, "ca.pem"},
		{"delivery.retry_on", s.Delivery.RetryOn, []string{"timeout", "503"}},
		{"delivery.lanes", s.Delivery.Lanes, []Lane{{Endpoint: "https://crm.example.com:443", Concurrency: 8, Rate: 0.5}}},
		{"console.listen", s.Console.Listen, ""},
		{"delivery.multiplier", s.Delivery.Multiplier, 1.5},
		{"delivery.allow_networks", s.Delivery.AllowNetworks, []netip.Prefix{
			netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("10.0.0.0/8")}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s is %#v, want %#v", c.what, c.got, c.want)
		}
	}
}

func TestLoadTellsEveryProblemOfEveryLayer(t *testing.T) {
	text, err := os.ReadFile("../testdata/config/broken.yaml")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := filepath.Abs("../testdata/config/broken.golden")
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(t, string(text), []string{
		"BELLHOP_NATS__REPLICA=3", "BELLHOP_NATS_URL=x", "BELLHOP_data_dir=x", "BELLHOP_DELIVERY__RETRIES=many", "BELLHOP_COLOUR=red",
		"BELLHOP_RULES=[a", "BELLHOP_DELIVERY__PROXY=ftp://user:hunter2@proxy",
	}, "--shutdown_timeout=-1s", "--nats.listen=localhost", "--nats.nkey", "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
		"--delivery.multiplier=0.5", "--nats.token=a\nb")
	var problems *Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error is %T, want *Problems", err)
	}
	got := err.Error() + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("problems are\n%swant\n%s", got, want)
	}
	if strings.Contains(got, "hunter2") || strings.Contains(got, "SUACSSL3") {
		t.Errorf("problems hold a secret:\n%s", got)
	}
}

func TestLoadChecksKeysTogether(t *testing.T) {
	for _, c := range []struct {
		name string
		file string
		args []string
		want string // "" for valid
	}{
		{"open console", "console: {listen: 0.0.0.0:80}", nil,
			"bellhop.yaml:1:11: console.token: empty, but one is required as console.listen 0.0.0.0:80 is not loopback"},
		{"console on all", "", []string{"--console.listen=:80"},
			"--console.listen: console.token: empty, but one is required as console.listen :80 is not loopback"},
		{"console with token", "console: {listen: 0.0.0.0:80, token: t}", nil, ""},
		{"console on localhost", "console: {listen: localhost:80}", nil, ""},
		{"console on ::1", "console: {listen: '[::1]:80'}", nil, ""},
		{"console on 127.9.9.9", "console: {listen: '127.9.9.9:0'}", nil, ""},
		{"one stream twice", "results: {stream: S}\n", []string{"--events.stream=S"},
			"--events.stream: events.stream: S is the stream of results.stream too: each needs its own"},
		{"prefixes in one another", "results: {prefix: events.out}", nil,
			"bellhop.yaml:1:11: results.prefix: events.out overlaps with events.prefix: one stream cannot share the other's subjects"},
		{"prefixes alike", "results: {prefix: eventsout}", nil, ""},
		{"user alone", "nats: {user: u}", nil, "bellhop.yaml:1:8: nats.password: empty, but needed with nats.user"},
		{"password alone", "", []string{"--nats.password=p"}, "--nats.password: nats.user: empty, but needed with nats.password"},
		{"key alone", "nats: {tls: {key: k}}", nil, "bellhop.yaml:1:14: nats.tls.cert: empty, but needed with nats.tls.key"},
		{"endless delays", "delivery: {retries: 20, multiplier: 10}", nil, "bellhop.yaml:1:12: delivery.retries: the delay before the last " +
			"retry would be more than a year: lower delivery.initial_delay, delivery.multiplier or delivery.retries"},
		{"more per endpoint than workers", "delivery: {workers: 1, per_endpoint: 9}", nil, ""},
	} {
		_, err := load(t, c.file, nil, c.args...)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: problem is %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLoadFindsTheFile(t *testing.T) {
	dir := t.TempDir()
	named := filepath.Join(dir, "named.yaml")
	if err := os.WriteFile(named, []byte("node: named\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, c := range []struct {
		name, file string
		env        []string
		node, want string
	}{
		{"none", "", nil, "", ""},
		{"by path", named, nil, "named", ""},
		{"by BELLHOP_CONFIG", "", []string{"BELLHOP_CONFIG=" + named}, "named", ""},
		{"path over BELLHOP_CONFIG", named, []string{"BELLHOP_CONFIG=/nowhere"}, "named", ""},
		{"missing", "gone.yaml", nil, "", "gone.yaml: cannot be read: no such file or directory"},
		{"missing by BELLHOP_CONFIG", "", []string{"BELLHOP_CONFIG=gone.yaml"}, "", "gone.yaml: cannot be read: no such file or directory"},
		{"a folder", dir, nil, "", dir + ": cannot be read: not a regular file"},
	} {
		got, err := Load(LoadOptions{File: c.file, Environ: append([]string{"A=b"}, c.env...)})
		switch {
		case err != nil:
			if err.Error() != c.want {
				t.Errorf("%s: error is %q, want %q", c.name, err, c.want)
			}
		case c.want != "" || got.Settings.Node != c.node:
			t.Errorf("%s: node is %q, want %q and error %q", c.name, got.Settings.Node, c.node, c.want)
		}
	}
	if _, err := Load(LoadOptions{Environ: []string{"BELLHOP_TOKEN=x"}, Reserved: []string{"BELLHOP_TOKEN"}}); err != nil {
		t.Errorf("a reserved variable is refused: %v", err)
	}
}

func TestEntriesMaskSecrets(t *testing.T) {
	got, err := load(t, "console: {token: hunter2}\ndelivery: {lanes: [{endpoint: 'http://crm.example.com', rate: 10/m}]}\n", []string{
		"BELLHOP_NATS__URL=nats://user:hunter2@a:4222, hunter2@b:4222,tls://c/x",
		"BELLHOP_DELIVERY__PROXY=http://user:hunter2@proxy:3128",
		"BELLHOP_NATS__TOKEN=hunter2",
	}, "--nats.user=u", "--nats.password=hunter2")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	var order []string
	for _, e := range got.Entries() {
		shown[e.Path] = e.Text() + " # " + e.Origin
		order = append(order, e.Path)
		if strings.Contains(e.Text(), "hunter2") {
			t.Errorf("%s shows a secret: %s", e.Path, e.Text())
		}
	}
	for path, want := range map[string]string{
		"nats.url":             "nats://***@a:4222,***@b:4222,tls://c/x # env BELLHOP_NATS__URL",
		"delivery.proxy":       "http://***@proxy:3128 # env BELLHOP_DELIVERY__PROXY",
		"nats.password":        "*** # flag --nats.password",
		"nats.nkey":            " # default",
		"console.token":        "*** # bellhop.yaml:1",
		"delivery.lanes":       "[{endpoint: http://crm.example.com:80, rate: 10/m}] # bellhop.yaml:2",
		"delivery.retry_on":    "[timeout, network, 408, 425, 429, 5xx] # default",
		"events.max_age":       "168h # default",
		"events.max_bytes":     "1MiB # default",
		"delivery.multiplier":  "2 # default",
		"results.request_body": "true # default",
	} {
		if shown[path] != want {
			t.Errorf("%s is shown as %q, want %q", path, shown[path], want)
		}
	}
	if len(order) != len(Keys()) || order[0] != "data_dir" || order[len(order)-1] != "log.format" {
		t.Errorf("entries are in the order %q", order)
	}
}

// TestLoadWarnsOfTheEmbeddedServer: what it has no use for, and that everybody may use it.
func TestLoadWarnsOfTheEmbeddedServer(t *testing.T) {
	for text, want := range map[string]string{
		"nats: {replicas: 3}":                                         "nats.replicas",
		"nats: {token: t}":                                            "nats.token",
		"nats: {nkey: seed}":                                          "nats.nkey",
		"nats: {credentials: u.creds}":                                "nats.credentials",
		"nats: {tls: {ca: ca.pem}}":                                   "nats.tls.ca",
		"nats: {listen: '0.0.0.0:4222'}":                              "nats.listen",
		"nats: {listen: '0.0.0.0:4222', user: u, password: p}":        "",
		"nats: {listen: '127.0.0.1:4222'}":                            "",
		"nats: {listen: ''}":                                          "",
		"nats: {url: 'nats://a:4222', token: t, listen: '0.0.0.0:1'}": "",
	} {
		got, err := load(t, text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var paths []string
		for _, w := range got.Warnings {
			paths = append(paths, w.Path)
		}
		if strings.Join(paths, " ") != want {
			t.Errorf("%s: warnings of %q, want of %q", text, paths, want)
		}
	}
}

func TestLoadRefusesAgesThatNoStreamTakes(t *testing.T) {
	for text, want := range map[string]string{
		"events: {max_age: 99ms}": "events.max_age: 99ms, but a stream keeps messages for 100ms at least", "results: {max_age: 1ms}": "results.max_age: 1ms",
		"events: {max_age: 100ms}": "", "results: {max_age: 0}": "",
	} {
		if _, err := load(t, text, nil); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestRegisterFlagsDescribesEveryKey(t *testing.T) {
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	RegisterFlags(set)
	usage := set.FlagUsages()
	for _, k := range Keys() {
		f := set.Lookup(k.Path)
		if f == nil || f.DefValue != k.Default || k.Doc == "" || k.Type == "" {
			t.Errorf("flag of %s is %+v, want default %q, and a type and text", k.Path, f, k.Default)
		}
		if set.Lookup(strings.NewReplacer(".", "-", "_", "-").Replace(k.Path)) != f {
			t.Errorf("the flag of %s is not found with dashes", k.Path)
		}
	}
	for _, want := range []string{"--delivery.workers integer", "POSTs in flight, per daemon (default 256)", "--nats.url url"} {
		if !strings.Contains(usage, want) {
			t.Errorf("usage lacks %q:\n%s", want, usage)
		}
	}
	if set.Lookup("nats.nothing") != nil {
		t.Errorf("an unknown flag is found")
	}
}
