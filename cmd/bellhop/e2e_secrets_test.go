package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bellhop/cmd/bellhop/console/api"
)

// planted are secrets by where they were planted.
type planted map[string]string

// spellings are the ways in which a secret could be told: as it is, and as URLs, JSON, JSON in JSON and HTML spell it.
func spellings(value string) []string {
	list := []string{value, url.QueryEscape(value), url.PathEscape(value), html.EscapeString(value), (&url.URL{Path: value}).EscapedPath()}
	for once := value; len(list) < 9; {
		for _, escapeHTML := range []bool{false, true} {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(escapeHTML)
			_ = enc.Encode(once)
			list = append(list, strings.Trim(strings.TrimSpace(b.String()), `"`))
		}
		once = list[5]
	}
	list = append(list, strings.ReplaceAll(list[5], "/", `\/`))
	slices.Sort(list)
	return slices.Compact(list)
}

// in names the secrets that a text holds.
func (p planted) in(text string) []string {
	var found []string
	for name, value := range p {
		for _, one := range spellings(strings.TrimPrefix(value, "whsec_")) {
			if strings.Contains(text, one) {
				found = append(found, name)
				break
			}
		}
	}
	slices.Sort(found)
	return found
}

// nowhere fails the test for each secret that a place holds.
func (w *world) nowhere(secrets planted, place, text string) {
	w.Helper()
	for _, name := range secrets.in(text) {
		at := strings.Index(text, spellings(strings.TrimPrefix(secrets[name], "whsec_"))[0])
		around := ""
		if at >= 0 {
			around = text[max(0, at-80):min(len(text), at+120)]
		}
		w.Errorf("%s holds the secret of %s: %q", place, name, around)
	}
}

// failing is one way for a delivery to end, to an endpoint that holds secrets.
type failing struct {
	endpoint string
	kind     string // of the error; "" where it succeeds
	answer   func(echo string) reply
}

// secretsNowhere plants secrets wherever they may be configured, lets deliveries, reloads, logins and connections fail in every
// way, and looks for the secrets in all that comes out: log, store, bus, API, metrics, commands, and what a crash prints.
func secretsNowhere(w *world) {
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	closed := inside.Addr().String()
	_ = inside.Close()
	_, closedPort, _ := net.SplitHostPort(closed)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(w.to.url, "http://"))
	strange := httptest.NewUnstartedServer(http.NotFoundHandler())
	strange.Config.ErrorLog = log.New(io.Discard, "", 0)
	strange.StartTLS()
	w.Cleanup(strange.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	w.Cleanup(plain.Close)
	_, plainPort, _ := net.SplitHostPort(plain.Listener.Addr().String())
	_, tlsPort, _ := net.SplitHostPort(strange.Listener.Addr().String())

	// In rule files, by their names there.
	named := planted{
		"BEARER": "bearer-s3cret", "BASIC": "YmFzaWM6czNjcmV0LWJhc2lj", "ODD": `odd "s3cret" /+&<%>\é'`, "PATH": "path-s3cret/é",
		"SIGN_NEW": "whsec_bmV3LXMzY3JldC1uZXctczNjcmV0LW5ldw==", "SIGN_OLD": "whsec_b2xkLXMzY3JldC1vbGQtczNjcmV0LW9sZA==",
		"HOST": "host-s3cret", "WAIT_HOST": "waiting-s3cret", "NAME": "name-s3cret", "INSIDE": "10.77.66.55", "LONGER": "bearer-s3cret-and-more",
		"WHOLE": "http://127.0.0.1:" + port + "/whole-s3cret", "TLS_HOST": "tls-s3cret",
	}
	// In rule files that are refused.
	refused := planted{
		"CRLF": "crlf-s3cret\nX: y", "NO_SIGN": "unsigned-s3cret", "NO_URL": "no url-s3cret", "NO_HOST": "no_host s3cret",
	}
	files := planted{"query": "query-s3cret", "header": "header-s3cret"}
	settings := planted{
		"NATS__PASSWORD": "bus-s3cret", "CONSOLE__TOKEN": "console-s3cret", "CONSOLE__READ_TOKEN": "reader-s3cret", "CONSOLE__WIDGET_TOKEN": "widget-s3cret",
	}
	secrets := planted{
		"user information": "userinfo-s3cret", "an unclosed quote": "literal-s3cret", "another password": "wrong-s3cret", "a token": "token-s3cret",
		"a proxy's URL": "proxy-s3cret", "a seed": "SU" + strings.Repeat("AS3CRET", 8), "a key": "S3CRETKEYS3CRETKEYS3CRETKEY", "a strange config": "config-s3cret",
	}
	for _, more := range []planted{named, refused, files, settings} {
		maps.Copy(secrets, more)
	}
	secrets["CRLF"] = "crlf-s3cret" // a line of it would tell as well
	env := []string{"GOTRACEBACK=all", "GODEBUG=netdns=go"}
	for _, of := range []planted{named, refused} {
		for name, value := range of {
			env = append(env, "BELLHOP_SECRET_"+name+"="+value)
		}
	}
	for name, value := range files {
		w.write(filepath.Join(w.dir, "secrets", name), value+"\n")
	}

	ways := map[string]failing{
		"taken":   {endpoint: w.to.url + "/${PATH}/taken?key=${file:query}", answer: func(echo string) reply { return reply{body: echo} }},
		"refused": {w.to.url + "/${PATH}/refused?key=${file:query}", "status", func(echo string) reply { return reply{status: "404 bearer-s3cret", body: echo} }},
		"failing": {w.to.url + "/${PATH}/failing?key=${file:query}", "status", func(echo string) reply { return reply{status: "503 bearer-s3cret", body: echo} }},
		"redirected": {w.to.url + "/${PATH}/redirected", "status", func(echo string) reply {
			return reply{status: "302 Found", headers: []string{"Location: " + w.to.url + "/path-s3cret"}, body: echo}
		}},
		"cut": {w.to.url + "/${PATH}/cut", "status", func(echo string) reply {
			return reply{status: "400 Bad Request", body: strings.Repeat(".", 1024-9) + "bearer-s3cret"}
		}},
		"too-large": {w.to.url + "/${PATH}/too-large", "status", func(echo string) reply { return reply{status: "400 Bad Request", body: strings.Repeat(echo, 1000)} }},
		"long-header": {w.to.url + "/${PATH}/long-header", "network", func(string) reply {
			return reply{headers: []string{"X-Long: " + strings.Repeat("bearer-s3cret", 10_000)}}
		}},
		"malformed":  {w.to.url + "/${PATH}/malformed", "network", func(string) reply { return reply{status: "bearer-s3cret"} }},
		"bad-header": {w.to.url + "/${PATH}/bad-header", "network", func(string) reply { return reply{headers: []string{"bearer-s3cret"}} }},
		"hanging":    {w.to.url + "/${PATH}/hanging", "timeout", func(string) reply { return reply{after: make(chan struct{})} }},
		"whole":      {"${WHOLE}/whole", "status", func(echo string) reply { return reply{status: "500 Internal Server Error", body: echo} }},
		"by-name": {"http://${HOST}.localhost:" + port + "/by-name", "status", func(echo string) reply {
			return reply{status: "429 Too Many Requests", headers: []string{"Retry-After: 1"}, body: echo}
		}},
		"waiting": {"http://${WAIT_HOST}.localhost:" + port + "/waiting", "status", func(string) reply {
			return reply{status: "503 Service Unavailable", headers: []string{"Retry-After: 3000"}}
		}},
		"not-there":    {endpoint: "http://${HOST}.localhost:" + closedPort + "/", kind: "network"},
		"not-known":    {endpoint: "http://${NAME}.onion/", kind: "network"}, // a name that resolvers are never asked for (RFC 7686)
		"blocked":      {endpoint: "http://${INSIDE}/", kind: "blocked"},
		"unverified":   {endpoint: "https://${TLS_HOST}.localhost:" + tlsPort + "/", kind: "tls"},
		"no-tls":       {endpoint: "https://${HOST}.localhost:" + plainPort + "/", kind: "tls"},
		"no-tls-there": {endpoint: "http://${TLS_HOST}.localhost:" + tlsPort + "/", kind: "status"},
	}
	var rules strings.Builder
	rules.WriteString("rules:\n")
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		timeout := "10s" // however busy the machine is
		if ways[name].kind == "timeout" {
			timeout = "400ms"
		}
		fmt.Fprintf(&rules, "  - name: %s\n    on: way.%s\n    webhooks:\n      - endpoint: %q\n        parameters: {a: \"@x\"}\n        timeout: %s\n        retries: 1\n",
			name, name, ways[name].endpoint, timeout)
		rules.WriteString("        headers: {Authorization: \"Bearer ${BEARER}\", X-Basic: \"Basic ${BASIC}\", X-Odd: \"${ODD}\", X-File: \"${file:header}\", X-Longer: \"${LONGER}\"}\n")
		rules.WriteString("        secret: [\"${SIGN_NEW}\", \"${SIGN_OLD}\"]\n")
	}
	w.rules(rules.String())
	w.to.answers(func(_ int, p *posted) reply {
		// What a receiver shows that debugs itself: all that it got, in the ways that such pages spell it.
		echo := p.line + "\n" + strings.Join(p.headers, "\n")
		for _, name := range []string{"ODD", "BEARER", "LONGER"} {
			echo += "\n" + strings.Join(spellings(named[name]), "\n")
		}
		if strings.Contains(p.line, "/path-") {
			echo += "\n" + strings.Join(spellings(named["PATH"]), "\n")
		}
		for name, way := range ways {
			if strings.Contains(p.line, "/"+name+" ") || strings.Contains(p.line, "/"+name+"?") {
				return way.answer(echo)
			}
		}
		return reply{status: "500 Internal Server Error", body: echo}
	})

	// The daemon, its own server asking for a password.
	flags := []string{"--log.level", "debug", "--delivery.initial_delay", "200ms"}
	daemonEnv := append(slices.Clone(env), "BELLHOP_NATS__USER=bellhop")
	for name, value := range settings {
		daemonEnv = append(daemonEnv, "BELLHOP_"+name+"="+value)
	}
	launch := func(env []string, args ...string) *daemonProcess {
		cmd := exec.Command(w.bin.bellhop, append([]string{"serve"}, args...)...)
		cmd.Dir, cmd.Env = w.dir, append(os.Environ(), env...)
		return &daemonProcess{process: start(w.T, cmd), w: w}
	}
	d := launch(daemonEnv, w.args(flags...)...)
	d.waitRunning()
	var errc error
	if w.nc, errc = nats.Connect("nats://"+w.nats, nats.UserInfo("bellhop", settings["NATS__PASSWORD"])); errc != nil {
		w.Fatal(errc)
	}
	w.Cleanup(w.nc.Close)
	if w.js, errc = jetstream.New(w.nc); errc != nil {
		w.Fatal(errc)
	}
	want := 0
	for name := range ways {
		w.publish("events.way."+name, `{"x":"1","password":"hunter2"}`)
		want++
		if slices.Contains([]string{"failing", "whole", "by-name", "long-header", "malformed", "bad-header", "hanging", "not-there", "not-known"}, name) {
			want++ // the retry
		}
	}
	outcomes := w.outcomes(want, 20*time.Second)
	sent := ""
	for _, p := range w.to.requests() {
		sent += p.line + "\n" + strings.Join(p.headers, "\n") + "\n"
	}
	// What was not used could not be told.
	for _, name := range []string{"BEARER", "BASIC", "ODD", "PATH", "HOST", "WAIT_HOST", "LONGER", "query", "header"} {
		if !slices.Contains(secrets.in(sent), name) {
			w.Errorf("the secret %s was not sent to the receiver", name)
		}
	}
	kinds := map[string]string{}
	for _, o := range outcomes {
		failure, _ := o.data["error"].(map[string]any)
		kind, _ := failure["kind"].(string)
		kinds[fmt.Sprint(o.data["rule"])] = kind
		w.nowhere(secrets, fmt.Sprintf("an outcome of %s", o.data["rule"]), o.text)
	}
	for name, way := range ways {
		if kind, ok := kinds[name]; !ok || kind != way.kind {
			w.Errorf("%s ended with %q, want %q", name, kind, way.kind)
		}
	}

	// Rules that are refused.
	broken := filepath.Join(w.dir, "rules", "broken.yaml")
	loadErrors := func(n string) {
		w.Helper()
		w.until(10*time.Second, n+" loads have failed", func() bool { return d.metricBy(settings["CONSOLE__TOKEN"], "bellhop_rules_load_errors_total") == n })
	}
	w.write(broken, `
rules:
  - {name: broken-a, on: a.b, webhooks: [{endpoint: "https://ann:userinfo-s3cret@crm.example.com/"}]}
  - {name: broken-b, on: a.b, webhooks: [{endpoint: "${NO_URL}"}, {endpoint: "https://${NO_HOST}/"}, {endpoint: "https://crm.example.com/${MISSING}"}]}
  - {name: broken-c, on: a.b, webhooks: [{endpoint: "https://crm.example.com/", headers: {A: "${CRLF}", B: "${file:none}"}, secret: ["${NO_SIGN}", "${BEARER}"]}]}
`)
	loadErrors("1")
	listen := []string{"--config", filepath.Join(w.dir, "own.yaml")}
	w.write(listen[1], "data_dir: "+filepath.Join(w.dir, "data")+"\nrules: ["+filepath.Join(w.dir, "rules")+"]\nsecrets_dir: "+filepath.Join(w.dir, "secrets")+
		"\nnats: {listen: \""+w.nats+"\"}\n")
	run := func(args ...string) string {
		w.Helper()
		ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, w.bin.bellhop, args...)
		cmd.Dir, cmd.Env = w.dir, append(os.Environ(), daemonEnv...)
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			w.Fatalf("run %q: %v", args, err)
		}
		w.nowhere(secrets, "bellhop "+strings.Join(args, " "), string(out))
		return string(out)
	}
	if out := run(append([]string{"rules", "check"}, listen...)...); strings.Count(out, "error:") < 7 {
		w.Errorf("rules check says %s, want all that is wrong", out)
	}
	w.everyAnswer(d, secrets, settings)
	w.write(broken, "rules:\n  - {name: x, on: a.b, webhooks: [{endpoint: \"https://crm.example.com/\", headers: {A: \"literal-s3cret}}]}\n")
	loadErrors("2")
	if err := os.Remove(broken); err != nil {
		w.Fatal(err)
	}

	// Operations by hand.
	const elsewhere = "http://me:token-s3cret@127.0.0.1:1"
	pendingID, failedID := w.idOf(outcomes, "waiting"), w.idOf(outcomes, "refused")
	w.write(filepath.Join(w.dir, "event.json"), `{"x":"1"}`)
	for _, args := range [][]string{
		{"rules", "list"}, {"rules", "list", "-o", "json"}, {"rules", "show", "failing"}, {"rules", "show", "whole", "-o", "json"}, {"rules", "history", "-o", "json"},
		{"rules", "test", "--event", "event.json", "--type", "way.failing"}, {"rules", "test", "--event", "event.json", "--type", "way.whole", "-o", "json"},
		{"rules", "backtest", "--since", "1h"}, {"rules", "backtest", "--since", "1h", "-o", "json"},
		{"deliveries", "list"}, {"deliveries", "list", "-o", "json", "--limit", "100"}, {"deliveries", "show", failedID}, {"deliveries", "show", failedID, "-o", "json"},
		{"deliveries", "pending"}, {"deliveries", "pending", "-o", "json"},
		{"lanes", "list"}, {"lanes", "list", "-o", "json"}, {"lanes", "pause", "http://${HOST}.localhost:" + port}, {"lanes", "list"},
		{"lanes", "resume", "http://${HOST}.localhost:" + port}, {"lanes", "list"},
		{"deliveries", "retry", failedID}, {"deliveries", "cancel", pendingID},
		{"rules", "rollback", "1"}, {"rules", "diff", "1", "1"}, {"rules", "diff", "1", "1", "-o", "json"}, {"config", "show"}, {"config", "show", "-o", "json"}, {"config", "check"}, {"events", "publish", "--type", "a.b", "event.json"},
		{"lanes", "list", "--address", d.console, "--token", secrets["a token"]}, {"lanes", "list", "--address", elsewhere},
		{"deliveries", "list", "--address", d.console},
	} {
		if out := run(append(args, listen...)...); strings.Contains(out, "bellhop: ") != (args[len(args)-1] == elsewhere || slices.Contains(args, secrets["a token"])) {
			w.Errorf("bellhop %q says %s", args, out)
		}
	}
	w.outcomes(want+2, 10*time.Second)
	w.everyAnswer(d, secrets, settings)
	if text := run(append([]string{"lanes", "list"}, listen...)...); !strings.Contains(text, "http://${HOST}.localhost:"+port) {
		w.Errorf("lanes list shows %s, want the lane by its secret's name", text)
	}

	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: strange.Certificate().Raw})
	w.write(filepath.Join(w.dir, "tls.crt"), string(cert))
	w.othersFail(launch, run, secrets, env)
	w.otherByProxy(launch, secrets, env, rules.String(), closed)

	// What a crash prints.
	if err := d.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		w.Fatal(err)
	}
	if status := d.wait(20 * time.Second); status != 2 || !strings.Contains(d.log(), "goroutine 1 ") {
		w.Errorf("SIGQUIT ended the daemon with status %d, want 2 and all its goroutines", status)
	}
	w.nowhere(secrets, "the daemon's log", d.log())
	for _, dir := range []string{"data", "data-b"} {
		err := filepath.WalkDir(filepath.Join(w.dir, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			w.nowhere(secrets, path, w.read(path))
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
	}
}

// idOf is the id of a rule's delivery.
func (w *world) idOf(outcomes []outcome, rule string) string {
	w.Helper()
	for _, o := range outcomes {
		if o.data["rule"] == rule {
			return fmt.Sprint(o.data["delivery_id"])
		}
	}
	w.Fatalf("%s has no outcome", rule)
	return ""
}

// metricBy is metric on a console that asks for a token.
func (d *daemonProcess) metricBy(token, name string) string {
	d.w.Helper()
	_, text := d.ask("/metrics", map[string]string{"Authorization": "Bearer " + token})
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ask is get with headers; of an answer without an end it gives the beginning.
func (d *daemonProcess) ask(path string, header map[string]string) (int, string) {
	d.w.Helper()
	req, err := http.NewRequestWithContext(d.w.Context(), http.MethodGet, strings.TrimRight(d.console, "/")+path, nil)
	if err != nil {
		d.w.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	limit := 10 * time.Second
	if strings.HasPrefix(path, api.StreamPath) {
		limit = 500 * time.Millisecond
	}
	client := http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, fmt.Sprint(resp.Header) + string(text)
}

// everyAnswer asks for all that the API's description lists, as everybody who may and who may not.
func (w *world) everyAnswer(d *daemonProcess, secrets, settings planted) {
	w.Helper()
	_, text := d.ask(api.DeliveriesPath+"?limit=100", map[string]string{"Authorization": "Bearer " + settings["CONSOLE__TOKEN"]})
	if n := strings.Count(text, `"delivery_id"`); n < 10 {
		w.Fatalf("%s lists %d outcomes: %s", api.DeliveriesPath, n, text)
	}
	_, id, _ := strings.Cut(text, `"delivery_id":"`)
	fill := strings.NewReplacer(api.DeliveriesPath+"/{id}", api.DeliveriesPath+"/"+id[:32], "{name}", "whole", "{ref}", "1", "{seq}", "1", "{id}", "none")
	paths := []string{"/", "/nothing-here", api.StreamPath + "?after=0", api.PendingPath + "?limit=100", api.DeliveriesPath + "?limit=100&outcome=errors", api.BreakdownPath + "?by=endpoint", api.BreakdownPath + "?by=kind"}
	for path, item := range readDescription(w.T).Paths {
		if _, ok := item["get"]; ok {
			paths = append(paths, fill.Replace(path))
		}
	}
	ok := 0
	for _, path := range paths {
		for who, header := range map[string]map[string]string{
			"an operator": {"Authorization": "Bearer " + settings["CONSOLE__TOKEN"]}, "a reader": {"Authorization": "Bearer " + settings["CONSOLE__READ_TOKEN"]},
			"a widget": {"Authorization": "Bearer " + settings["CONSOLE__WIDGET_TOKEN"]}, "nobody": nil,
			"somebody without a scheme": {"Authorization": settings["CONSOLE__TOKEN"]}, "somebody with another": {"Authorization": settings["CONSOLE__TOKEN"] + " x"},
		} {
			status, text := d.ask(path, header)
			if status == http.StatusOK && who == "an operator" {
				ok++
			}
			w.nowhere(secrets, fmt.Sprintf("GET %s, asked by %s,", path, who), text)
		}
	}
	if ok < len(paths)*2/3 {
		w.Errorf("%d of %d paths are answered, want most", ok, len(paths))
	}
	d.ask("/badge.svg?token="+settings["CONSOLE__WIDGET_TOKEN"], nil)
	d.ask("/badge.svg?token=wrong", nil)
}

// launcher starts a daemon with an environment of its own.
type launcher func(env []string, args ...string) *daemonProcess

// othersFail starts daemons that cannot reach the bus or are configured wrongly, in every way.
func (w *world) othersFail(launch launcher, run func(...string) string, secrets planted, env []string) {
	w.Helper()
	file := func(name, text string) string {
		path := filepath.Join(w.dir, name)
		w.write(path, text)
		return path
	}
	seed := secrets["a seed"]
	creds := file("user.creds", "-----BEGIN NATS USER JWT-----\neyJ0eXAiOiJKV1QifQ.e30.x\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n"+seed+"\n------END USER NKEY SEED------\n")
	nkey := file("user.nk", seed+"\n")
	key := file("tls.key", "-----BEGIN EC PRIVATE KEY-----\n"+secrets["a key"]+"=\n-----END EC PRIVATE KEY-----\n")
	cert := filepath.Join(w.dir, "tls.crt")
	base := []string{"--console.listen", "", "--data_dir", "data-c", "--rules", "rules-c", "--log.level", "debug"}
	if err := os.MkdirAll(filepath.Join(w.dir, "rules-c"), 0o700); err != nil {
		w.Fatal(err)
	}
	at := "nats://" + w.nats
	for name, c := range map[string]struct {
		env, args []string
		says      string
	}{
		"another password":          {[]string{"BELLHOP_NATS__USER=bellhop", "BELLHOP_NATS__PASSWORD=wrong-s3cret"}, []string{"--nats.url", at}, "refused the credentials"},
		"another password in a URL": {nil, []string{"--nats.url", "nats://bellhop:wrong-s3cret@" + w.nats}, "refused the credentials"},
		"a token":                   {[]string{"BELLHOP_NATS__TOKEN=token-s3cret"}, []string{"--nats.url", at}, "refused the credentials"},
		"a token in a URL":          {nil, []string{"--nats.url", "nats://token-s3cret@" + w.nats}, "refused the credentials"},
		"a URL that is none":        {nil, []string{"--nats.url", "nats://bellhop:wrong-s3cret@127.0.0.1:port"}, "nats.url"},
		"a URL with another scheme": {nil, []string{"--nats.url", "http://bellhop:wrong-s3cret@127.0.0.1:1"}, "nats.url"},
		"credentials":               {nil, []string{"--nats.url", at, "--nats.credentials", creds}, ""},
		"a seed":                    {nil, []string{"--nats.url", at, "--nats.nkey", nkey}, "nats.nkey"},
		"a seed as it is":           {nil, []string{"--nats.url", at, "--nats.nkey", seed}, "nats.nkey"},
		"a key of TLS":              {nil, []string{"--nats.url", "tls://" + w.nats, "--nats.tls.cert", cert, "--nats.tls.key", key}, ""},
		"a lane's key":              {nil, []string{"--delivery.lanes", `[{endpoint: "https://crm.example.com", tls: {cert: "` + cert + `", key: "` + key + `"}}]`}, "key"},
		"a proxy that is none":      {nil, []string{"--delivery.proxy", "http://me:proxy-s3cret@127.0.0.1:port"}, "delivery.proxy"},
		"a proxy of another kind":   {nil, []string{"--delivery.proxy", "ftp://me:proxy-s3cret@127.0.0.1:1"}, "delivery.proxy"},
	} {
		d := launch(append(slices.Clone(env), c.env...), append(slices.Clone(base), c.args...)...)
		status := d.wait(20 * time.Second)
		if lines := strings.Split(d.log(), "\n"); status == 0 || !strings.Contains(d.log(), c.says) {
			w.Errorf("a daemon with %s ended with status %d, %q, want an error with %q", name, status, lines[max(0, len(lines)-4):], c.says)
		}
		w.nowhere(secrets, "the log of a daemon with "+name, d.log())
	}
	strange := file("strange.yaml", `
nats: {url: "nats://bellhop:config-s3cret@127.0.0.1:4222,nats://config-s3cret@127.0.0.1:4223", password: config-s3cret, token: config-s3cret}
delivery: {proxy: "http://me:config-s3cret@127.0.0.1:1"}
console: {token: config-s3cret, read_token: config-s3cret, widget_token: config-s3cret}
`)
	spoilt := file("spoilt.yaml", `
nats: {pasword: config-s3cret, token: [config-s3cret], url: "nats://u:config-s3cret@h:port"}
delivery: {proxy: "config-s3cret:x@"}
console: {token: {x: config-s3cret}, read_token: "config-s3cret
`)
	for _, args := range [][]string{{"config", "show"}, {"config", "show", "-o", "json"}, {"config", "check"}, {"config", "check", "-o", "json"}} {
		run(append(args, "--config", strange)...)
		run(append(args, "--config", spoilt)...)
	}
}

// otherByProxy starts a daemon that takes a part of the work, knows the bus by a URL with a password, and delivers through a proxy
// that is not there.
func (w *world) otherByProxy(launch launcher, secrets planted, env []string, rules, closed string) {
	w.Helper()
	dir := filepath.Join(w.dir, "rules-b")
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.Fatal(err)
	}
	w.write(filepath.Join(dir, "rules.yaml"), rules)
	d := launch(env, "--console.listen", "127.0.0.1:0", "--node", "node-b", "--secrets_dir", "secrets", "--data_dir", "data-b", "--rules", dir,
		"--log.level", "debug", "--delivery.allow_networks", "127.0.0.0/8", "--nats.url", "nats://bellhop:"+secrets["NATS__PASSWORD"]+"@"+w.nats, "--delivery.proxy", "http://me:proxy-s3cret@"+closed)
	d.waitRunning()
	w.until(20*time.Second, "the proxy has failed", func() bool {
		w.publish("events.way.taken", `{"x":"2"}`)
		for _, o := range w.outcomes(1, time.Second) {
			if failure, _ := o.data["error"].(map[string]any); o.envelope["source"] == "bellhop/node-b" && failure["kind"] == "network" {
				w.nowhere(secrets, "an outcome by a proxy", o.text)
				return true
			}
		}
		return false
	})
	for _, path := range []string{"/metrics", "/api/v1/status", "/api/v1/daemons", "/api/v1/lanes", "/readyz"} {
		_, text := d.get(path)
		w.nowhere(secrets, "GET "+path+" of the daemon with a proxy", text)
	}
	if err := d.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		w.Fatal(err)
	}
	d.wait(20 * time.Second)
	w.nowhere(secrets, "the log of the daemon with a proxy", d.log())
}
