package console

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/store"
)

// maxPage is what the whole page may weigh, uncompressed, with all that no view needs at once.
const maxPage = 150_000

func TestPageIsSmall(t *testing.T) {
	var sum int
	var sizes []string
	for name, a := range loadAssets() {
		sum += len(a.body)
		sizes = append(sizes, fmt.Sprintf("%7d %s", len(a.body), name))
	}
	if sum > maxPage {
		slices.Sort(sizes)
		t.Errorf("the page weighs %d bytes, at most %d:\n%s", sum, maxPage, strings.Join(sizes, "\n"))
	}
}

// TestPageIsStrict holds what is embedded against the policy that it is served with: scripts and styles are files of this
// program, text is never parsed as markup, and no address but its own is named.
func TestPageIsStrict(t *testing.T) {
	var (
		inline  = regexp.MustCompile(`(?i)<script(?:>|[^>]*>[^<])|<style|\sstyle=|\son[a-z]+=|javascript:`)
		markup  = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|srcdoc|createContextualFragment`)
		foreign = regexp.MustCompile(`(?:https?:)?//[a-zA-Z0-9.-]+\.[a-z]{2,}[^\s'"]*`)
		known   = []string{"https://crm.example.com/*", "http://www.w3.org/2000/svg"}
	)
	for name, a := range loadAssets() {
		if strings.HasPrefix(name, "vendor/") {
			continue
		}
		if path.Ext(name) == ".html" {
			if found := inline.FindString(a.body); found != "" {
				t.Errorf("%s holds %q, which the policy refuses", name, found)
			}
		}
		if found := markup.FindString(a.body); found != "" {
			t.Errorf("%s uses %s: what comes from outside must become text nodes", name, found)
		}
		for _, url := range foreign.FindAllString(a.body, -1) {
			if !slices.Contains(known, url) {
				t.Errorf("%s names %s: the page calls no other host", name, url)
			}
		}
	}
}

// TestPageRefersToWhatIsThere finds every file that another one names.
func TestPageRefersToWhatIsThere(t *testing.T) {
	assets := loadAssets()
	absolute := regexp.MustCompile(`["'(](/assets/[^"')]+)`)
	relative := regexp.MustCompile(`(?:from|import\() ?'(\.[^']+)'`)
	for name, a := range assets {
		if strings.HasPrefix(name, "vendor/") {
			continue
		}
		for _, m := range absolute.FindAllStringSubmatch(a.body, -1) {
			if _, ok := assets[strings.TrimPrefix(m[1], "/assets/")]; !ok {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
		for _, m := range relative.FindAllStringSubmatch(a.body, -1) {
			if _, ok := assets[path.Join(path.Dir(name), m[1])]; !ok {
				t.Errorf("%s imports %s, which is not there", name, m[1])
			}
		}
	}
}

func TestPageIsServed(t *testing.T) {
	s, _ := open(t, nil)
	for _, tt := range []struct {
		path, kind string
		want       int
	}{
		{"/", "text/html; charset=utf-8", 200}, {"/deliveries", "text/html; charset=utf-8", 200},
		{"/deliveries/0123456789abcdef0123456789abcdef", "text/html; charset=utf-8", 200}, {"/rules/crm", "text/html; charset=utf-8", 200},
		{"/widget", "text/html; charset=utf-8", 200}, {"/assets/app.js", "text/javascript; charset=utf-8", 200},
		{"/assets/style.css", "text/css; charset=utf-8", 200}, {"/assets/bell.svg", "image/svg+xml", 200},
		{"/assets/vendor/uplot/LICENSE", "text/plain; charset=utf-8", 200},
		{"/assets/index.html", "application/problem+json", 404}, {"/assets/", "application/problem+json", 404},
		{"/assets/../page.go", "application/problem+json", 404}, {"/deliveries/a/b", "application/problem+json", 404},
	} {
		code, body, h := ask(t, "GET", s.URL()+tt.path, "", nil)
		if code == http.StatusTemporaryRedirect || code == http.StatusMovedPermanently {
			code, body, h = ask(t, "GET", s.URL()+h.Get("Location"), "", nil)
		}
		if code != tt.want || h.Get("Content-Type") != tt.kind {
			t.Errorf("GET %s = %d, %s %.80s, want %d, %s", tt.path, code, h.Get("Content-Type"), body, tt.want, tt.kind)
		}
		if tt.want != 200 {
			continue
		}
		if h.Get("Cache-Control") != "no-cache" {
			t.Errorf("GET %s has Cache-Control %q: browsers must ask each time", tt.path, h.Get("Cache-Control"))
		}
		if again, body, _ := ask(t, "GET", s.URL()+tt.path, "", map[string]string{"If-None-Match": h.Get("ETag")}); again != 304 || body != "" {
			t.Errorf("GET %s again = %d with %d bytes, want 304", tt.path, again, len(body))
		}
	}
}

func TestLean(t *testing.T) {
	const script = "// what it does\nfunction f() {\n\t// why\n\treturn '// no comment' // at the end\n}\n"
	const want = "\nfunction f() {\n\nreturn '// no comment' // at the end\n}\n"
	if got := lean(script); got != want {
		t.Errorf("lean(%q) = %q, want %q", script, got, want)
	}
}

func TestBadge(t *testing.T) {
	s, _ := open(t, func(o *Options) { o.Counts = someCounts{} })
	for _, tt := range []struct {
		query string
		want  int
		holds string
	}{
		{"", 200, "webhooks, last day: 1,204,017 calls, 1 error"}, {"?window=1h", 200, "webhooks, last hour: 1,204,017 calls, 1 error"},
		{"?window=7d", 200, "last week"}, {"?window=all", 200, "webhooks, all: 2,000 calls, 0 errors"},
		{"?window=2h", 400, "none of 1h, 24h, 7d, all"}, {"?window=" + strings.Repeat("%3Cx%3E", 3), 400, ""},
	} {
		code, body, h := ask(t, "GET", s.URL()+"/badge.svg"+tt.query, "", nil)
		if code != tt.want || !strings.Contains(body, tt.holds) {
			t.Errorf("GET /badge.svg%s = %d %s, want %d with %q", tt.query, code, body, tt.want, tt.holds)
		}
		if code != 200 {
			continue
		}
		if h.Get("Content-Type") != "image/svg+xml" {
			t.Errorf("GET /badge.svg%s is %s", tt.query, h.Get("Content-Type"))
		}
		var any struct{ XMLName xml.Name }
		if err := xml.Unmarshal([]byte(body), &any); err != nil || any.XMLName.Local != "svg" {
			t.Errorf("GET /badge.svg%s is no SVG: %v: %s", tt.query, err, body)
		}
	}
}

// someCounts has the same counts in every window, and others from the beginning.
type someCounts struct{ Counts }

func (someCounts) Stats() (store.Stats, error) { return store.Stats{Calls: 2000}, nil }

func (someCounts) StepFor(time.Time, time.Time) store.Step { return store.Hour }

func (someCounts) Series(store.Window, store.Dimension, string) ([]store.Point, error) {
	return []store.Point{{Counts: store.Counts{Calls: 1_204_000}}, {Counts: store.Counts{Calls: 17, Errors: 1, Retrying: 1}}}, nil
}
