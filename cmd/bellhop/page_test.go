package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowser looks at every page of the console with a browser, on a daemon with real traffic.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out what starts a browser")
	}
	t.Parallel()
	b := newBrowser(t)
	w := newPageWorld(t)
	for user := range 70 {
		w.publish("course.completed", user)
	}
	for user := range 6 {
		w.publish("module.completed", user)
		w.publish("course.inactive", user)
	}
	w.counted("delivered", 70)
	w.counted("failed", 6)
	w.counted("retrying", 6)

	window := b.tab(t, w.url)
	for _, view := range []struct {
		name string
		test func(w pageWorld, tab *tab)
	}{
		{"overview", overviewPage}, {"deliveries", deliveriesPage}, {"delivery", deliveryPage}, {"pending", pendingPage}, {"rules", rulesPage},
		{"endpoints", endpointsPage}, {"try", tryPage}, {"bulk", bulkPage}, {"theme", themePage}, {"widget", widgetPage}, {"everywhere", everywhere},
		{"connection", connectionPage},
	} {
		window.part(view.name, func(t *testing.T) {
			window.width(1280)
			window.dark(false)
			view.test(pageWorld{t, w.pageDaemon}, window)
		})
	}
}

// overviewPage shows the counts, and zooms.
func overviewPage(_ pageWorld, tab *tab) {
	tab.open("/")
	tab.shows(".window:nth-child(1)", "82")
	tab.shows(".window:nth-child(1)", "12")
	tab.shows(".legend", "82 calls")
	tab.holds("the chart is drawn", `(() => { const c = document.querySelector('.chart canvas'); return !!c && c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v) })()`)
	tab.shows(".quad", "p95")
	tab.shows(".bars", "Status")
	for _, path := range []string{"/crm%20done", "/busy", "/gone"} {
		tab.shows(".panel a", path)
	}
	tab.shows(".panel", "within a minute")
	tab.shows(".panel", "here, this one")
	tab.shows(".panel", "Outcomes not yet counted")
	tab.still("the overview")
	tab.shot("overview")

	tab.unfold("The same as a table")
	tab.shows("details td", "82")
	// Across the right half of the chart.
	box := js[[]float64](tab, `(() => { const r = document.querySelector('.u-over').getBoundingClientRect(); return [r.x, r.y + r.height / 2, r.width] })()`)
	tab.run(chromedp.DragAndDropXY(box[0]+box[2]*.5, box[1], box[0]+box[2]*.98, box[1]))
	tab.holds("the address has the window", `/^\?from=.+&to=/.test(location.search)`)
	tab.holds("no window of the widget is chosen", `!document.querySelector('.window[aria-current]')`)
	tab.press("button", "Reset")
	tab.path("/")
	tab.press("[aria-label='Zoom out']", "")
	tab.holds("the address has the window", `/^\?from=.+&to=/.test(location.search)`)
	tab.press(".window:nth-child(2)", "")
	tab.path("/?window=24h")
	tab.shows("header small", "a bar is 10 min")
	tab.press(".panel a", "Status")
	tab.shows("h1", "Deliveries")
	tab.holds("only that kind is listed", `location.search.includes('kind=status')`)
}

// deliveriesPage filters, follows, pauses and pages.
func deliveriesPage(w pageWorld, tab *tab) {
	tab.open("/deliveries")
	tab.shows(".live", "Live")
	tab.holds("a page is full", `document.querySelectorAll('tbody tr').length === 50`)
	tab.still("the list of deliveries")
	tab.shot("deliveries")

	// Live, without anybody doing anything.
	w.publish("course.completed", 1000)
	tab.holds("what comes is at the top", `document.querySelectorAll('tbody tr').length === 51`)
	tab.press("button", "Pause")
	tab.shows(".live", "Paused")
	w.publish("course.completed", 1001)
	tab.shows("button.fresh", "1 new: show")
	if n := js[int](tab, `document.querySelectorAll('tbody tr').length`); n != 51 {
		tab.Errorf("%d rows while paused, want the 51 that were there", n)
	}
	tab.press("button.fresh", "1 new: show")
	tab.holds("it is there when asked for", `document.querySelectorAll('tbody tr').length === 52`)
	tab.press("button", "Go on")
	tab.shows(".live", "Live")

	// Pages stay as they are while new ones come.
	first := js[[]string](tab, `[...document.querySelectorAll('tbody a')].map((a) => a.href)`)
	tab.press("a", "Older ›")
	tab.shows(".live", "Older outcomes")
	tab.holds("the older page is there", fmt.Sprintf(`document.querySelectorAll('tbody tr').length > 0 && document.querySelector('tbody a').href !== %s`, quotedJS(first[0])))
	older := js[string](tab, `document.querySelector('tbody').innerText`)
	second := js[[]string](tab, `[...document.querySelectorAll('tbody a')].map((a) => a.href)`)
	seen := map[string]bool{}
	for _, href := range append(first, second...) {
		if seen[href] {
			tab.Errorf("%s is on both pages", href)
		}
		seen[href] = true
	}
	if len(seen) != 84 {
		tab.Errorf("%d deliveries on the two pages, want all 84", len(seen))
	}
	w.publish("course.completed", 1002)
	w.counted("delivered", 73)
	tab.run(reloadPage)
	tab.holds("the older page is as it was", `document.querySelector('tbody')?.innerText === `+quotedJS(older))
	tab.press("a", "« Newest")
	tab.path("/deliveries")

	// Filters are in the address, and the address is enough.
	tab.choose("Outcome", "Failed")
	tab.path("/deliveries?outcome=failed")
	tab.holds("only failed ones are listed", `(() => { const b = [...document.querySelectorAll('tbody .badge')]; return b.length === 6 && b.every((e) => e.innerText === 'Failed') })()`)
	tab.shot("deliveries-failed")
	tab.choose("Outcome", "Errors")
	tab.write("Rule", "busy")
	tab.path("/deliveries?outcome=errors&rule=busy")
	tab.holds("only those of the rule are listed", `document.querySelectorAll('tbody tr').length === 6 && document.querySelector('tbody').innerText.includes('busy / lms')`)
	tab.run(reloadPage)
	tab.holds("a shared address shows the same", `document.querySelectorAll('tbody tr').length === 6 && document.querySelector('tbody').innerText.includes('busy / lms')`)
	tab.press("button", "Clear filters")
	tab.path("/deliveries")
	tab.write("Event type", "course.*")
	tab.path("/deliveries?type=course.*")
	tab.write("Id", "course.inactive-3")
	tab.path("/deliveries?type=course.*&q=course.inactive-3")
	tab.holds("an event's id finds what it caused", `document.querySelectorAll('tbody tr').length === 1`)
	tab.write("Id", "1001")
	tab.holds("a user's id finds what they caused", `document.querySelectorAll('tbody tr').length === 1 && document.querySelector('tbody').innerText.includes('course.completed')`)
	tab.write("Id", "nobody")
	tab.shows(".state", "No outcome matches")
	tab.shot("deliveries-none")
	tab.press("button", "Clear filters")
	tab.choose("Time", "Last hour")
	tab.path("/deliveries?from=1h")
	tab.write("Endpoint", w.to.url+"/gone*")
	tab.holds("endpoints are found by their beginning", `document.querySelectorAll('tbody tr').length === 6`)
	tab.choose("Time", "From … to …")
	tab.shows(".live", "A fixed time")
	tab.shows("label", "From")
	tab.run(goBack, goBack)
	tab.path("/deliveries?from=1h")

	// A filtered list follows what matches it alone.
	tab.open("/deliveries?rule=gone")
	tab.shows(".live", "Live")
	w.publish("course.completed", 1003)
	w.publish("course.inactive", 1003)
	tab.holds("what matches is added", `document.querySelectorAll('tbody tr').length === 7 && ![...document.querySelectorAll('tbody tr')].some((r) => r.innerText.includes('crm'))`)
}

// deliveryPage follows one delivery to its end, cancels one and sends one again.
func deliveryPage(w pageWorld, tab *tab) {
	tab.open("/deliveries?rule=busy&q=2")
	tab.press("tbody a", "module.completed")
	tab.shows("h1", "module.completed to busy / lms")
	tab.shows(".next", "attempt 2 of 11")
	tab.shows(".next strong", "in ")
	tab.shows(".attempts", "503 Service Unavailable")
	tab.shows(".attempts pre", "busy, come again")
	tab.shows("pre", "9007199254740993")
	tab.shows("pre", "72.50")
	tab.still("a delivery")
	tab.shot("delivery-retrying")
	left := js[string](tab, `document.querySelector('.next strong').innerText`)
	tab.holds("the countdown counts", `document.querySelector('.next strong').innerText !== `+quotedJS(left))
	tab.press("button", "Cancel the next attempt")
	tab.shows("dialog", "It can be sent again later")
	tab.accessible("a question")
	tab.press("dialog button", "Back")
	tab.holds("it is closed", `!document.querySelector('dialog')`)
	tab.press("button", "Cancel the next attempt")
	tab.press("dialog button", "Cancel the attempt")
	tab.shows(".attempts", "Cancelled")
	tab.holds("nothing is to come", `!document.querySelector('.next')`)

	tab.open("/deliveries?rule=gone&q=course.inactive-4")
	tab.press("tbody a", "course.inactive")
	tab.shows(".attempts pre", nasty)
	if title := js[string](tab, `document.title`); !strings.Contains(title, "course.inactive") {
		tab.Errorf("the title is %q: what a receiver answered was taken for markup", title)
	}
	tab.shows(".params", "Engines")
	tab.shot("delivery-failed")
	w.mended.Store(true)
	tab.press("button", "Send again")
	tab.press("dialog button", "Send again")
	tab.shows(".attempts", "Run 2: sent again by hand")
	tab.shows(".attempts", "Delivered")
	tab.shows(".head .badge", "Delivered")
	w.mended.Store(false)
	tab.shot("delivery-again")

	tab.open("/deliveries/00000000000000000000000000000000")
	tab.expect("404")
	tab.shows(".state", "No such delivery")
}

// pendingPage lists what is to come.
func pendingPage(_ pageWorld, tab *tab) {
	tab.open("/pending")
	tab.holds("five attempts are scheduled", `document.querySelectorAll('tbody tr').length === 5`)
	tab.shows(".sums", "within a minute")
	tab.shows("tbody", "503 Service Unavailable")
	tab.still("what is pending")
	tab.shot("pending")
	tab.choose("State", "Waiting for room")
	tab.path("/pending?state=waiting")
	tab.shows(".state", "Nothing is pending")
	tab.choose("State", "Any state")
	tab.write("Rule", "busy")
	tab.path("/pending?rule=busy")
	tab.holds("the rule's are listed", `document.querySelectorAll('tbody tr').length === 5`)
}

// rulesPage shows what is in force, what is broken, what changed, and puts an older version back.
func rulesPage(w pageWorld, tab *tab) {
	tab.open("/rules")
	tab.shows("tbody tr", "Tell the CRM when somebody finishes a course")
	tab.shows("tbody code", "page.yaml:2")
	tab.shows("tbody .badge", "Disabled")
	tab.still("the rules")
	tab.shot("rules")

	// Broken files show where they are, and change nothing.
	w.rules(strings.Replace(pageRules, "on: module.completed", "onn: module.completed", 1))
	tab.shows(".findings", "page.yaml:11:")
	tab.shows(".panel", "the rules below stay in force")
	tab.holds("the rules are those before", `[...document.querySelectorAll('tbody a')].some((a) => a.innerText === 'busy')`)
	tab.accessible("rules with problems")
	tab.shot("rules-broken")
	w.rules(strings.Replace(pageRules, "Its receiver has moved", "Its receiver has moved away", 1))
	tab.gone(".findings", "page.yaml")
	tab.shows("tbody", "has moved away")

	tab.press("tbody a", "gone")
	tab.shows("h1", "gone")
	tab.shows("pre", "- name: gone")
	tab.shows(".quad", "Error rate")
	tab.shot("rule")
	tab.open("/versions")
	tab.shows(".diff ins", "has moved away")
	tab.shows(".diff del", "has moved")
	tab.still("the history")
	tab.shot("versions")
	tab.press("button", "Put back")
	tab.press("dialog button", "Put back")
	tab.shows("tbody", "version 1 put back")
	tab.press("a[href='/versions?to=2']", "")
	tab.path("/versions?to=2")
	tab.shows("header small", "from version 1 to version 2")
	w.rules(pageRules)

	tab.expect("404")
	tab.open("/rules/nothing")
	tab.shows(".state", "No such rule is in force")
}

// endpointsPage holds an endpoint back, and lets it go on.
func endpointsPage(w pageWorld, tab *tab) {
	tab.open("/endpoints")
	tab.shows("tbody tr", w.to.url)
	tab.shows("tbody .badge", "Open")
	tab.still("the endpoints")
	tab.press("button", "Pause")
	tab.press("dialog button", "Pause")
	tab.shows("tbody .badge", "Paused")
	tab.shot("endpoints")
	tab.press("button", "Resume")
	tab.shows("tbody .badge", "Open")
}

// tryPage tries an event that was pasted, and a recent one.
func tryPage(_ pageWorld, tab *tab) {
	tab.open("/try")
	tab.write("Event, as JSON", `{"user":{"first_name":"Grace"},"course":{"name":"Compilers"},"score":12.50}`)
	tab.press("button", "Try it")
	tab.shows(".tried", "Would be sent")
	tab.shows(".tried pre", "student=Grace+&course=Compilers")
	tab.shows(".tried", "score")
	tab.shows(".tried", "12.50")
	tab.shows("header small", "1 of 2 webhooks would be sent for course.completed")
	tab.still("trying an event")
	tab.shot("try")
	tab.write("Event, as JSON", "{")
	tab.press("button", "Try it")
	tab.shows("[role=alert]", "This is not JSON")
	const recent = `[...document.querySelectorAll('select:not(.theme) option')].find((o) => o.text.includes('module.completed'))`
	tab.holds("a recent event can be chosen", "!!"+recent)
	tab.choose("A recent event", js[string](tab, recent+".text"))
	tab.holds("the address has the event", `/^\?seq=\d+$/.test(location.search)`)
	tab.shows(".tried pre", "module=Punched+cards")
	tab.holds("its digits are kept", `document.querySelector('textarea').value.includes('9007199254740993')`)
	// Tried again as it is, it is still that event, with its id and time.
	const sent = `document.querySelector('.tried pre')?.innerText.match(/webhook-id: (\S+)/i)?.[1] ?? ''`
	id := js[string](tab, sent)
	if id == "" {
		tab.Error("no webhook-id is shown of a recent event")
	}
	tab.press("button", "Try it")
	tab.holds("it is the same delivery", `(`+sent+`) === `+quotedJS(id))
	tab.write("Event, as JSON", `{"module":{"name":"Punched cards"}}`)
	tab.press("button", "Try it")
	tab.holds("another event is another delivery", `![`+quotedJS(id)+`, ''].includes(`+sent+`)`)
}

// bulkPage sends many again and cancels many, after a count.
func bulkPage(w pageWorld, tab *tab) {
	w.mended.Store(true)
	defer w.mended.Store(false)
	tab.open("/deliveries?rule=gone&outcome=failed")
	tab.holds("they are listed", `document.querySelectorAll('tbody tr').length > 0`)
	tab.press("button", "Send failed again …")
	tab.shows("dialog", "6 failed deliveries will be sent again.")
	tab.shows("dialog", "rule: gone")
	tab.accessible("a count")
	tab.shot("bulk")
	tab.press("dialog button", "Send again (6)")
	tab.shows("dialog", "6 of 6 sent again")
	tab.press("dialog button", "Close")
	tab.open("/deliveries?rule=gone&outcome=delivered")
	tab.holds("all of them arrived", `document.querySelectorAll('tbody tr').length === 7`)
	tab.open("/pending")
	tab.press("button", "Cancel pending …")
	tab.shows("dialog", "5 pending attempts will be called off.")
	tab.press("dialog button", "Call them off (5)")
	tab.shows("dialog", "5 of 5 cancelled")
	tab.press("dialog button", "Close")
	tab.shows(".state", "Nothing is pending")
}

// themePage follows the system's theme, and a choice.
func themePage(_ pageWorld, tab *tab) {
	const background = `getComputedStyle(document.documentElement).backgroundColor`
	tab.dark(false)
	tab.open("/")
	light := js[string](tab, background)
	tab.dark(true)
	tab.holds("it follows the system", background+` !== `+quotedJS(light))
	tab.shows(".legend", "calls")
	tab.shot("overview-dark")
	js[any](tab, `(() => { const s = document.querySelector('select.theme'); s.value = 'light'; s.dispatchEvent(new Event('change')) })()`)
	tab.holds("a choice wins", background+` === `+quotedJS(light))
	tab.run(reloadPage)
	tab.holds("a choice lasts", background+` === `+quotedJS(light))
}

// widgetPage is the widget alone, and the badge.
func widgetPage(_ pageWorld, tab *tab) {
	tab.dark(false)
	tab.width(640)
	tab.open("/widget")
	tab.shows(".window:nth-child(4)", "calls")
	tab.holds("it counts", `Number(document.querySelector('.window:nth-child(4) b').innerText) > 80`)
	tab.accessible("the widget")
	tab.still("the widget")
	tab.shot("widget")
	tab.width(320)
	tab.fits("the widget at 320 pixels")
	tab.shot("widget-320")
	tab.open("/widget?theme=dark")
	tab.holds("it is dark where asked to", `getComputedStyle(document.documentElement).colorScheme === 'dark'`)
}

// everywhere checks each page with axe-core, wide and light, narrow and dark.
func everywhere(w pageWorld, tab *tab) {
	var list struct {
		Items []struct {
			ID string `json:"delivery_id"`
		}
	}
	w.get("/deliveries?rule=gone&limit=1", &list)
	tab.open("/")
	rates := js[string](tab, `import('/assets/lib/format.js').then((m) => [[5, 0], [1, 27], [0, 0], [1, 5000], [9999, 1]].map(([errors, delivered]) => m.rate({ errors, delivered })).join())`)
	if want := "100 %,3.6 %,0 %,< 0.1 %,> 99.9 %"; rates != want {
		tab.Errorf("error rates are %q, want %q: what was never POSTed is an attempt as well", rates, want)
	}
	for _, path := range []string{"/", "/deliveries", "/deliveries?q=nobody", "/deliveries/" + list.Items[0].ID, "/pending", "/rules", "/rules/crm", "/versions", "/endpoints", "/try?seq=1", "/nothing"} {
		tab.width(1280)
		tab.dark(false)
		if path == "/nothing" {
			tab.open("/")
			js[any](tab, `(() => { const a = document.createElement('a'); history.pushState(null, '', '/rules/a/b/c'); dispatchEvent(new PopStateEvent('popstate')) })()`)
		} else {
			tab.open(path)
		}
		tab.holds(path+" is loaded", `!document.querySelector('.loading')`)
		tab.accessible(path)
		tab.dark(true)
		tab.width(360)
		tab.accessible(path + " in the dark at 360 pixels")
		tab.fits(path + " at 360 pixels")
		tab.shot("360-" + strings.Trim(strings.NewReplacer("/", "-", "?", "-", list.Items[0].ID, "one").Replace(path), "-"))
	}
}

// connectionPage says when the daemon is gone, and goes on when it is back.
func connectionPage(w pageWorld, tab *tab) {
	tab.expect("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "503")
	tab.open("/")
	tab.shows(".window:nth-child(4)", "calls")
	w.stop()
	tab.shows(".banner", "No connection to the daemon")
	tab.shows(".legend", "calls")
	tab.accessible("a page without its daemon")
	tab.shot("no-connection")
	w.start()
	tab.gone(".banner", "No connection")
	tab.holds("it goes on", `!document.body.classList.contains('away')`)
}
