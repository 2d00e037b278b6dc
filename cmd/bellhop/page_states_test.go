package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate stands between a browser and a daemon, and holds back, refuses or drops what is asked.
type gate struct {
	proxy *httputil.ReverseProxy
	url   string

	mu    sync.Mutex
	held  chan struct{} // the API answers once it is closed; nil: at once
	fails bool          // the API refuses
	drops string        // the connection ends for what begins so; "": for nothing
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{proxy: httputil.NewSingleHostReverseProxy(u)}
	g.proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	srv := httptest.NewServer(g)
	g.url = srv.URL
	t.Cleanup(func() {
		g.hold(false)
		srv.CloseClientConnections()
		srv.Close()
	})
	return g
}

// hold keeps the API's answers back, or lets them go.
func (g *gate) hold(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		close(g.held)
		g.held = nil
	}
	if yes {
		g.held = make(chan struct{})
	}
}

func (g *gate) fail(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fails = yes
}

func (g *gate) drop(prefix string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drops = prefix
}

// lateStyle is how much later than its script the chart's style sheet comes, as it may.
const lateStyle = 300 * time.Millisecond

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	held, fails, drops := g.held, g.fails, g.drops
	g.mu.Unlock()
	if drops != "" && strings.HasPrefix(r.URL.Path, drops) {
		panic(http.ErrAbortHandler)
	}
	if r.URL.Path == "/assets/vendor/uplot/uPlot.min.css" {
		time.Sleep(lateStyle)
	}
	if strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != "/api/v1/session" {
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
				return
			}
		}
		if fails {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"title":"Service Unavailable","status":503,"detail":"the bus is away","next":"Wait a moment."}`)
			return
		}
	}
	g.proxy.ServeHTTP(w, r)
}

// TestBrowserStates looks at each page with nothing to show, while it waits, when it is refused, and without a connection.
func TestBrowserStates(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts a browser")
	}
	t.Parallel()
	b := newBrowser(t)
	w := newPageWorld(t)
	w.rules("rules: []\n")
	g := newGate(t, w.url)
	w.until("no rules are in force", func() bool {
		var list struct{ Rules []any }
		w.get("/rules", &list)
		return len(list.Rules) == 0
	})
	views := []struct {
		path  string
		empty []string
	}{
		{"/", []string{"No attempt was timed", "No errors", "No calls in this window", "No endpoint had errors", "Nothing is scheduled"}},
		{"/deliveries", []string{"No deliveries yet"}}, {"/deliveries?rule=crm", []string{"No outcome matches"}}, {"/pending", []string{"Nothing is pending"}},
		{"/rules", []string{"No rules are in force"}}, {"/rules/crm", []string{"No such rule is in force"}}, {"/endpoints", []string{"No endpoint has had work yet"}},
		{"/try", []string{"Nothing tried yet"}}, {"/versions", nil},
		{"/deliveries/00000000000000000000000000000000", []string{"No such delivery"}},
	}
	t.Run("views", func(t *testing.T) {
		tab := b.tab(t, g.url)
		tab.expect("404", "503")
		tab.width(360)
		tab.dark(true)
		for _, view := range views {
			name := strings.Trim(strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(view.path), "-")
			tab.part(view.path, func(t *testing.T) {
				if view.path != "/try" {
					g.hold(true)
					defer g.hold(false)
					tab.open(view.path)
					tab.holds("it says that it is loading", `[...document.querySelectorAll('main .loading')].some((e) => e.checkVisibility() && e.innerText.includes('Loading'))`)
					tab.accessible("loading " + view.path)
					tab.fits("loading " + view.path)
					tab.shot("state-loading-" + name)
					g.hold(false)
				} else {
					tab.open(view.path)
				}
				tab.holds("it is loaded", `!document.querySelector('.loading')`)
				for _, text := range view.empty {
					tab.shows("main", text)
				}
				tab.still(view.path + " at 360 pixels")
				tab.accessible("empty " + view.path)
				tab.fits("empty " + view.path)
				tab.shot("state-empty-" + name)

				// Refused, and then it goes on by itself.
				g.fail(true)
				defer g.fail(false)
				tab.run(reloadPage)
				if view.path == "/try" {
					tab.press("button", "Try it")
				}
				tab.shows(".state.bad", "Service Unavailable")
				tab.shows(".state.bad", "the bus is away")
				tab.shows(".state.bad button", "Try again")
				tab.accessible("refused " + view.path)
				tab.fits("refused " + view.path)
				tab.shot("state-error-" + name)
				g.fail(false)
				if view.path != "/" && view.path != "/deliveries" {
					tab.press(".state.bad button", "Try again")
				}
				tab.holds("it goes on", `!document.querySelector('.state.bad, .loading')`)
			})
		}
	})
	t.Run("a view that does not load", func(t *testing.T) {
		g.drop("/assets/views/rules.js")
		defer g.drop("")
		tab := b.tab(t, g.url)
		tab.expect("ERR_EMPTY_RESPONSE", "ERR_CONNECTION", "404")
		tab.open("/deliveries")
		tab.press("nav a", "Rules")
		tab.shows(".state.bad", "No connection to the daemon")
		tab.shot("state-no-view")
		g.drop("")
		tab.shows("h1", "Rules")
		tab.shows("main", "No rules are in force")
	})
	t.Run("other views without a connection", func(t *testing.T) {
		tab := b.tab(t, g.url)
		tab.expect("ERR_EMPTY_RESPONSE", "ERR_CONNECTION", "ERR_INCOMPLETE_CHUNKED_ENCODING", "404")
		tab.open("/rules")
		tab.hears("/assets/views/pending.js")
		tab.hears("/assets/views/bulk.js")
		tab.shows("main", "No rules are in force")
		g.drop("/")
		defer g.drop("")
		tab.press("nav a", "Pending")
		tab.shows(".banner", "No connection to the daemon")
		tab.shows("h1", "Pending")
		tab.shows(".state.bad", "No connection to the daemon")
		tab.holds("it does not say that the daemon is ready", `!document.querySelector('.dot.ok') && document.querySelector('.daemon').textContent.includes('does not answer')`)
		tab.holds("it does not say that nothing is pending", `[...document.querySelectorAll('.sums b')].every((b) => b.innerText === '–')`)
		tab.accessible("a view without a connection")
		tab.shot("state-no-connection")
		g.drop("")
		tab.shows("main", "Nothing is pending")
		tab.gone(".banner", "No connection")
	})
}

// TestBrowserKeepsPlace works with the keyboard, reads on, and looks away, while pages are drawn anew.
func TestBrowserKeepsPlace(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts a browser")
	}
	t.Parallel()
	b := newBrowser(t)
	w := newPageWorld(t)
	w.publish("course.completed", 1)
	w.publish("course.inactive", 1)
	w.counted("delivered", 1)
	w.counted("failed", 1)

	tab := b.tab(t, w.url)
	tab.part("focus", func(*testing.T) {
		tab.open("/endpoints")
		tab.shows("tbody", w.to.url)
		calls := js[string](tab, `(() => { document.querySelector('tbody a').focus(); return document.querySelector('tbody td[data-name=Calls]').innerText })()`)
		w.publish("course.completed", 2)
		tab.holds("the count has changed", `document.querySelector('tbody td[data-name=Calls]').innerText !== `+quotedJS(calls))
		tab.holds("the link has the focus still", `document.activeElement.matches('tbody a') && document.activeElement.isConnected`)
		// By keyboard alone: hold back, confirm, and the button that undoes it has the focus.
		js[any](tab, `document.querySelector('tbody button').focus()`)
		tab.key("\r")
		tab.shows("dialog", "On every daemon")
		tab.key("\t", "\r")
		tab.shows("tbody .badge", "Paused")
		tab.holds("the button that resumes has the focus", `document.activeElement.matches('tbody button') && document.activeElement.innerText === 'Resume'`)
		tab.key("\r")
		tab.shows("tbody .badge", "Open")
	})
	tab.part("reading", func(*testing.T) {
		tab.open("/deliveries?rule=gone")
		tab.press("tbody a", "course.inactive")
		tab.shows(".attempts pre", "<h1>gone</h1>")
		tab.press(".attempts summary", "Response")
		tab.holds("it is closed", `!document.querySelector('.attempts details').open`)
		tab.press("summary", "As it went over the wire")
		w.mended.Store(true)
		defer w.mended.Store(false)
		js[any](tab, `window.drawn = document.querySelector('.attempts')`)
		tab.press("button", "Send again")
		tab.press("dialog button", "Send again")
		tab.shows(".attempts", "Run 2: sent again by hand")
		tab.holds("it was drawn anew", `!window.drawn.isConnected`)
		if js[bool](tab, `document.querySelector('.attempts details').open`) {
			tab.Error("what was closed opens by itself when the page is drawn anew")
		}
	})
	tab.part("selected", func(*testing.T) {
		tab.open("/endpoints")
		tab.shows("tbody", w.to.url)
		js[any](tab, `getSelection().selectAllChildren(document.querySelector('tbody td'))`)
		n := len(tab.heard("/api/v1/lanes"))
		w.publish("course.completed", 3)
		tab.holds("it has asked again", fmt.Sprintf(`performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/api/v1/lanes')).length > %d`, n+1))
		if got := js[string](tab, `getSelection().toString().trim()`); got != w.to.url {
			tab.Errorf("selected is %q, want %q still", got, w.to.url)
		}
	})
	tab.part("hidden", func(*testing.T) {
		// A tab that nobody sees keeps no connection: there are six for all tabs of a browser.
		tab.open("/deliveries")
		tab.shows(".live", "Live")
		tab.holds("both are listed", `document.querySelectorAll('tbody tr').length >= 2`)
		rows := js[int](tab, `document.querySelectorAll('tbody tr').length`)
		const look = `Object.defineProperty(document, 'hidden', {configurable: true, value: %t}); document.dispatchEvent(new Event('visibilitychange'))`
		js[any](tab, fmt.Sprintf(look, true))
		w.until("nobody watches", func() bool { return !w.running.live.Watched() })
		w.publish("course.completed", 4)
		var list struct{ Items []any }
		w.until("it is recorded", func() bool {
			w.get("/deliveries", &list)
			return len(list.Items) > rows
		})
		js[any](tab, fmt.Sprintf(look, false))
		tab.shows(".live", "Live")
		tab.holds("what came meanwhile is there", fmt.Sprintf(`document.querySelectorAll('tbody tr').length === %d`, rows+1))
	})
	tab.part("comparing", func(t *testing.T) {
		w := pageWorld{t, w.pageDaemon}
		for _, text := range []string{"one", "two"} {
			w.rules(strings.Replace(pageRules, "Its receiver has moved", text, 1))
			w.until("it is in force", func() bool {
				var list struct {
					Rules []struct{ Description string }
				}
				w.get("/rules", &list)
				return len(list.Rules) > 2 && list.Rules[2].Description == text
			})
		}
		tab.open("/versions")
		tab.shows("header small", "from version 2 to version 3")
		const first = `[...document.querySelectorAll('main select option')].find((o) => o.value === '1')`
		tab.holds("version 1 can be chosen", "!!"+first)
		tab.choose("Compared with", js[string](tab, first+".text"))
		tab.path("/versions?from=1")
		tab.shows("header small", "from version 1 to version 3")
		tab.shows(".diff del", "Its receiver has moved")
		tab.shows(".diff ins", "two")
		tab.width(360)
		tab.fits("comparing versions at 360 pixels")
		tab.accessible("comparing versions")
		tab.shot("versions-compared")
	})
}
