package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"bellhop/internal/testkit"
)

// TestBrowserAccess signs in and out with a browser, as an operator, as a reader, and in a frame of another page.
func TestBrowserAccess(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts a browser")
	}
	t.Parallel()
	b := newBrowser(t)
	portal := testkit.FreeAddress(t)
	w := newPageWorld(t, "BELLHOP_CONSOLE__TOKEN=operator-token", "BELLHOP_CONSOLE__READ_TOKEN=reader-token",
		"BELLHOP_CONSOLE__WIDGET_TOKEN=widget-token", "BELLHOP_CONSOLE__EMBED_ORIGINS=http://"+portal)
	w.publish("module.completed", 1)

	t.Run("operator", func(t *testing.T) {
		tab := b.tab(t, w.url)
		tab.expect("401")
		tab.open("/endpoints")
		tab.shows("h1", "Sign in")
		tab.accessible("signing in")
		tab.shot("sign-in")
		tab.write("Token", "not the token")
		tab.press("button", "Sign in")
		tab.shows("[role=alert]", "This is not the token")
		tab.accessible("a wrong token")
		tab.write("Token", "operator-token")
		tab.press("button", "Sign in")
		// Where they were going.
		tab.shows("h1", "Endpoints")
		tab.shows(".account", "Operator")
		tab.shows("tbody button", "Pause")
		if js[bool](tab, `document.cookie !== '' || JSON.stringify(localStorage).includes('token')`) {
			tab.Error("the page's scripts can read what it signed in with")
		}
		tab.run(reloadPage)
		tab.shows("tbody button", "Pause")
		tab.press("button", "Sign out")
		tab.shows("h1", "Sign in")
		tab.run(reloadPage)
		tab.shows("h1", "Sign in")
	})
	t.Run("reader", func(t *testing.T) {
		tab := b.tab(t, w.url)
		tab.open("/deliveries")
		tab.write("Token", "reader-token")
		tab.press("button", "Sign in")
		tab.shows(".account", "Read only")
		tab.shows("tbody", "module.completed")
		tab.gone("button", "Send failed again …")
		tab.press("tbody a", "module.completed")
		tab.shows(".attempts", "Attempt 1")
		tab.gone("button", "Cancel the next attempt")
		tab.press("nav a", "Endpoints")
		tab.shows("tbody .badge", "Open")
		tab.gone("tbody button", "Pause")
	})
	t.Run("framed", func(t *testing.T) {
		// Another page, on another origin, as a portal would be.
		srv := &http.Server{Addr: portal, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(rw, `<!doctype html><title>Portal</title><iframe src="%s%s#token=widget-token" width="340" height="300"></iframe>`, w.url, r.URL.Path)
		})}
		ended := make(chan error, 1)
		go func() { ended <- srv.ListenAndServe() }()
		defer func() {
			_ = srv.Close()
			<-ended
		}()
		tab := b.tab(t, "http://"+portal)
		tab.expect(w.url)
		tab.run(chromedp.Navigate(tab.base + "/widget"))
		tab.hears("200 " + w.url + "/api/v1/series?from=7d")
		tab.shot("widget-framed")
		// The console itself may be framed by nobody.
		tab.run(chromedp.Navigate(tab.base + "/deliveries"))
		tab.hears("frame-ancestors 'none'")
	})
}
