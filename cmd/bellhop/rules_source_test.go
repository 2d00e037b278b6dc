package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
	"bellhop/dispatcher/rule"
	"bellhop/store"
)

const (
	firstRules = `rules:
  - name: crm
    on: course.completed
    webhooks:
      - endpoint: https://crm.example.com/hook
`
	secondRules = `rules:
  - name: crm
    on: course.completed
    webhooks:
      - endpoint: https://crm.example.com/hooks/course done
        parameters: {student: "@name"}
        timeout: 3s
        secret: ${CRM_SECRET}
# the end
`
)

// storeVersions leaves a store with these versions in data, the last in force, as a daemon that has stopped.
func storeVersions(t *testing.T, texts ...string) {
	t.Helper()
	db, err := store.Open(filepath.Join("data", storeName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		files := []rule.SourceFile{{Path: "rules/crm.yaml", Text: text}}
		defs, problems := config.ParseRules(files)
		set, more := rule.Compile(defs, rule.Options{Defaults: rule.Defaults{Timeout: 10 * time.Second, Retries: 10, Encoding: "normalize"}})
		if set == nil {
			t.Fatalf("version %d does not compile: %v %v", i+1, problems, more)
		}
		if _, err := db.PutVersion(store.Version{Digest: set.Version, Files: files, Rules: 1, Webhooks: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRulesWithoutDaemon(t *testing.T) {
	t.Chdir(t.TempDir())
	storeVersions(t, firstRules, secondRules)

	bellhop(t, "", "rules", "list").wants(t, exitDone, "crm   course.completed  1         yes      rules/crm.yaml:2\n", "")
	r := bellhop(t, "", "rules", "list", "-o", "json")
	var list []api.Rule
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 1 || list[0].Webhooks[0].Parameters[0].Value != "@name" {
		t.Errorf("rules list -o json = %s (%v), want one rule with its parameter", r.out, err)
	}

	r = bellhop(t, "", "rules", "show", "crm")
	r.wants(t, exitDone, "webhook-1: https://crm.example.com/hooks/course%20done (timeout 3s, retries 10, signed)", "")
	r.wants(t, exitDone, "        secret: ${CRM_SECRET}\n", "")
	if strings.Contains(r.out, "the end") {
		t.Errorf("rules show = %q, want the rule's source alone", r.out)
	}
	bellhop(t, "", "rules", "show", "lms").wants(t, exitFailed, "", "bellhop: rule \"lms\" not found\ntry: bellhop rules list\n")

	bellhop(t, "", "rules", "history").wants(t, exitDone, " (now)", "")
	r = bellhop(t, "", "rules", "history", "-o", "json")
	var versions []api.Version
	if err := json.Unmarshal([]byte(r.out), &versions); err != nil || len(versions) != 2 || versions[0].Number != 2 || !versions[0].Current {
		t.Errorf("rules history -o json = %s (%v), want version 2, in force, and then 1", r.out, err)
	}

	for _, args := range [][]string{{}, {"1"}, {"1", "2"}, {versions[1].Digest[:6]}} {
		r := bellhop(t, "", append([]string{"rules", "diff"}, args...)...)
		r.wants(t, exitDone, "--- rules/crm.yaml (version 1)\n+++ rules/crm.yaml (version 2)\n", "")
		r.wants(t, exitDone, "-      - endpoint: https://crm.example.com/hook\n+      - endpoint: https://crm.example.com/hooks/course done\n", "")
	}
	bellhop(t, "", "rules", "diff", "2", "2").wants(t, exitDone, "", "versions 2 and 2 have the same files\n")
	bellhop(t, "", "rules", "diff", "9").wants(t, exitFailed, "", "try: bellhop rules history\n")
	bellhop(t, "", "rules", "diff", "-o", "json").wants(t, exitDone, `"from": 1`, "")

	bellhop(t, "", "__complete", "rules", "show", "").wants(t, exitDone, "crm\n", "NoFileComp")
	bellhop(t, "", "__complete", "rules", "diff", "1", "").wants(t, exitDone, "\n1\t", "NoFileComp")

	bellhop(t, "", "rules", "rollback", "1").
		wants(t, exitFailed, "", "bellhop: no daemon is running at data/bellhop.sock\ntry: bellhop serve\n")
}

func TestRulesAfterADaemonDied(t *testing.T) {
	t.Chdir(t.TempDir())
	storeVersions(t, firstRules)
	// A daemon that was killed leaves its socket behind, with nobody at the other end.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join("data", socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	bellhop(t, "", "rules", "list").wants(t, exitDone, "crm", "")
	bellhop(t, "", "rules", "diff").wants(t, exitFailed, "", "bellhop: version 1 is the only one\n")
}

// fakeDaemon answers as a daemon's API does.
func fakeDaemon(t *testing.T) http.Handler {
	t.Helper()
	versions := []api.Version{
		{Number: 2, Digest: "bbbbbbbbbbbb", Origin: "files", Current: true, Files: []api.File{{Path: "a.yaml", Text: "new\n"}}},
		{Number: 1, Digest: "aaaaaaaaaaaa", Origin: "files", Files: []api.File{{Path: "a.yaml", Text: "old\n"}}},
	}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Errorf("answer: %v", err)
		}
	}
	refuse := func(w http.ResponseWriter, status int, detail string) {
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(status)
		answer(w, api.Problem{Title: http.StatusText(status), Status: status, Detail: detail})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.RulesPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.RuleList{
			Version: &versions[0], Rules: []api.Rule{
				{Name: "crm", On: []string{"course.*"}, Enabled: true, File: "a.yaml", Line: 2}, {Name: "versions", Description: "legal"},
			},
			Problems: []api.Finding{{File: "a.yaml", Line: 1, Column: 1, Severity: "error", Text: "broken"}},
		})
	})
	mux.HandleFunc("GET "+api.RulesPath+"/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") != "crm" {
			refuse(w, http.StatusNotFound, "no such rule")
			return
		}
		answer(w, api.Rule{Name: "crm", Source: "- name: crm\n"})
	})
	mux.HandleFunc("GET "+api.VersionsPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.VersionList{Items: versions})
	})
	mux.HandleFunc("GET "+api.VersionsPath+"/{ref}", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("ref") {
		case "2":
			answer(w, versions[0])
		case "1":
			answer(w, versions[1])
		default:
			refuse(w, http.StatusNotFound, "no version "+r.PathValue("ref"))
		}
	})
	mux.HandleFunc("POST "+api.RollbackPath, func(w http.ResponseWriter, r *http.Request) {
		var body api.Rollback
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get(api.WriteHeader) != "1" {
			refuse(w, http.StatusForbidden, "writes need the header X-Bellhop: 1")
			return
		}
		if body.Version != "1" {
			refuse(w, http.StatusNotFound, "no version "+body.Version)
			return
		}
		answer(w, api.Version{Number: 3, Digest: "aaaaaaaaaaaa", Origin: "rollback", Of: 1, Current: true})
	})
	return mux
}

// asked runs the questions that every way to a daemon must answer alike.
func asked(t *testing.T, flags ...string) {
	t.Helper()
	ask := func(args ...string) result { t.Helper(); return bellhop(t, "", append(args, flags...)...) }
	ask("rules", "list").wants(t, exitDone, "crm       course.*", "the rule files have 1 error and are not in force")
	ask("rules", "show", "crm").wants(t, exitDone, "- name: crm\n", "")
	ask("rules", "show", "lms").wants(t, exitFailed, "", "bellhop: rule \"lms\" not found\ntry: bellhop rules list\n")
	ask("rules", "show", "versions").wants(t, exitDone, "legal", "")
	ask("rules", "history").wants(t, exitDone, "aaaaaaaaaaaa", "")
	ask("rules", "diff").wants(t, exitDone, "-old\n+new\n", "")
	ask("rules", "diff", "7").wants(t, exitFailed, "", "bellhop: no version 7\ntry: bellhop rules history\n")
	ask("rules", "rollback", "1").wants(t, exitDone, "version 3 (aaaaaaaaaaaa) is in force", "")
	ask("rules", "rollback", "1", "-o", "json").wants(t, exitDone, `"origin": "rollback"`, "")
	ask("rules", "rollback", "7").wants(t, exitFailed, "", "bellhop: no version 7\ntry: bellhop rules history\n")
}

func TestRulesOverTheSocket(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("data", 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join("data", socketName))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: fakeDaemon(t)}}
	server.Start()
	defer server.Close()
	asked(t)
}

func TestRulesAtAnAddress(t *testing.T) {
	t.Chdir(t.TempDir())
	api := fakeDaemon(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	asked(t, "--address", server.URL, "--token", "s3cret-token")
	asked(t, "--address", strings.TrimPrefix(server.URL, "http://")+"/", "--console.token", "s3cret-token")
	bellhop(t, "", "rules", "list", "--address", server.URL, "--token", "other").
		wants(t, exitFailed, "", "answers 401 Unauthorized\ntry: --token TOKEN")

	// Nobody there: no store is opened in place of the console that was named.
	storeVersions(t, firstRules)
	address := server.URL
	server.Close()
	bellhop(t, "", "rules", "list", "--address", address).wants(t, exitFailed, "", "bellhop: no daemon is running at "+address)
}
