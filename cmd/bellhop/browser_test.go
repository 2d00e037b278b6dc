package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// shotsEnv names a folder for the screenshots that the tests of the page make; without it none are made.
const shotsEnv = "PAGE_SCREENSHOTS"

// axeFile is axe-core, which checks pages for what keeps people out.
const axeFile = "../../testdata/axe/axe.min.js"

// patience is how long a page may take to show what it is to show.
const patience = 20 * time.Second

// watch runs in each document before anything else: what shifts, what the policy refused.
const watch = `
window.seen = {shift: 0, shifts: [], refused: []}
new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) {
	seen.shift += e.value
	seen.shifts.push(e.value.toFixed(4) + ' ' + e.sources.map((s) => s.node?.outerHTML?.slice(0, 90)).join(' | '))
} }).observe({type: 'layout-shift', buffered: true})
document.addEventListener('securitypolicyviolation', (e) => seen.refused.push(e.violatedDirective + ' ' + e.blockedURI))
`

// browser is a headless Chromium that talks to loopback alone.
type browser struct {
	ctx   context.Context
	shots string
	axe   string
}

// newBrowser starts Chromium. Where there is none the test is skipped, in CI it fails.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is needed in CI (apt-get install chromium)")
		}
		t.Skip("no chromium here (apt-get install chromium)")
	}
	axe, err := os.ReadFile(axeFile)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{axe: string(axe), shots: os.Getenv(shotsEnv)}
	if b.shots != "" {
		if err := os.MkdirAll(b.shots, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("no-first-run", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("hide-scrollbars", false), chromedp.Flag("proxy-server", "direct://"),
		// Whatever else it would ask for on its own is not found.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"))...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("end chromium: %v", err)
		}
		cancel()
		stop()
	})
	b.ctx = ctx
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return b
}

// tab is a window of a browser, with its own cookies. What goes wrong in its page fails the test at its end.
type tab struct {
	*testing.T
	*browser
	ctx  context.Context
	base string // the console's URL

	mu       sync.Mutex
	wrong    []string
	answers  []string // status and URL
	expected []string // parts of messages that are meant to come
}

// tab opens a window, 1280 by 900.
func (b *browser) tab(t *testing.T, base string) *tab {
	t.Helper()
	w := &tab{T: t, browser: b, base: base}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(w.hear))
	ctx, late := context.WithTimeout(ctx, 6*time.Minute)
	w.ctx = ctx
	t.Cleanup(func() {
		if t.Failed() {
			w.shot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		} else {
			w.sound()
		}
		late()
		cancel()
	})
	command(w, network.Enable, network.EnableParams{})
	command(w, log.Enable, cdp.Empty{})
	command(w, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
	w.width(1280)
	return w
}

// part runs a part of a test in the same window, which spares it the start of another. What the page has stored is gone before it,
// and what it expects is forgotten after it.
func (w *tab) part(name string, run func(t *testing.T)) {
	w.Helper()
	whole, expected := w.T, w.expected
	whole.Run(name, func(t *testing.T) {
		w.T = t
		defer func() {
			if t.Failed() {
				w.shot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
			} else {
				w.sound()
			}
			w.T = whole
			w.mu.Lock()
			w.wrong, w.answers, w.expected = nil, nil, expected
			w.mu.Unlock()
		}()
		command(w, storage.ClearDataForOrigin, storage.ClearDataForOriginParams{Origin: w.base, StorageTypes: "local_storage,cookies"})
		run(t)
	})
}

// hear notes what must not happen: exceptions, refusals by the policy, requests to anybody else.
func (w *tab) hear(ev any) {
	var text string
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		text = "exception: " + ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			text += " " + e.Description
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level != log.EntryLevelError {
			return
		}
		text = fmt.Sprintf("%s: %s %s", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL)
	case *runtime.EventConsoleAPICalled:
		if ev.Type != runtime.ConsoleAPICalledTypeError {
			return
		}
		for _, a := range ev.Args {
			text += " " + string(a.Value) + a.Description
		}
	case *network.EventResponseReceived:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.answers = append(w.answers, fmt.Sprint(ev.Response.Status, " ", ev.Response.URL))
		return
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(ev.Request.URL)
		if err == nil && (u.Scheme == "data" || u.Scheme == "about" || strings.HasPrefix(ev.Request.URL, w.base)) {
			return
		}
		text = "a request to another host: " + ev.Request.URL
	default:
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, text)
}

// sound checks that nothing went wrong since the last time.
func (w *tab) sound() {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.wrong {
		meant := false
		for _, part := range w.expected {
			meant = meant || strings.Contains(text, part)
		}
		if !meant {
			w.Errorf("the page: %s", text)
		}
	}
	w.wrong = nil
}

func (w *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	w.Helper()
	if err := chromedp.Do(w.ctx, actions...); err != nil {
		w.Fatalf("chromium: %v", err)
	}
}

// command sends a command of the DevTools protocol.
func command[P, R any](w *tab, cmd cdp.Command[P, R], params P) {
	w.Helper()
	if _, err := chromedp.Call(w.ctx, cmd, params); err != nil {
		w.Fatalf("chromium: %v", err)
	}
}

// open loads an address, and waits for its heading.
func (w *tab) open(path string) {
	w.Helper()
	w.run(chromedp.Navigate(w.base + path))
	w.holds("it has a heading", `!!document.querySelector('main h1, .widget')`)
}

// between matches what a browser answers while one document makes way for another.
var between = regexp.MustCompile(`navigated or closed|context was destroyed|[Cc]annot find context|[Cc]ontext with (given|specified) id|uniqueContextId not found`)

// js evaluates an expression, in the document that comes where one is just going.
func js[T any](w *tab, expression string) T {
	w.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(30 * time.Millisecond) { // a poll's pause
		v, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
		if err == nil {
			return v
		}
		if !between.MatchString(err.Error()) || time.Now().After(end) {
			w.Fatalf("evaluate %s: %v", expression, err)
		}
	}
}

// holds polls an expression until it is true.
func (w *tab) holds(what, expression string) {
	w.Helper()
	end := time.Now().Add(patience)
	for !js[bool](w, expression) {
		if time.Now().After(end) {
			w.Fatalf("still not: %s (%s); the page says:\n%s", what, expression, js[string](w, `document.body.innerText`))
		}
		time.Sleep(30 * time.Millisecond) // a poll's pause
	}
}

// shows waits for a text in the page, or in what a selector finds.
func (w *tab) shows(selector, text string) {
	w.Helper()
	w.holds(fmt.Sprintf("%s shows %q", selector, text), fmt.Sprintf(`[...document.querySelectorAll(%s)].some((e) => e.checkVisibility() && e.innerText.includes(%s))`, quotedJS(selector), quotedJS(text)))
}

// gone waits until nothing that a selector finds has the text.
func (w *tab) gone(selector, text string) {
	w.Helper()
	w.holds(fmt.Sprintf("%s no longer shows %q", selector, text), fmt.Sprintf(`![...document.querySelectorAll(%s)].some((e) => e.checkVisibility() && e.innerText.includes(%s))`, quotedJS(selector), quotedJS(text)))
}

// press clicks, with the mouse, what a selector finds with exactly the text; "" takes the first.
func (w *tab) press(selector, text string) {
	w.Helper()
	w.pressed(selector, text, 3)
}

func (w *tab) pressed(selector, text string, again int) {
	w.Helper()
	found := fmt.Sprintf(`[...document.querySelectorAll(%s)].find((e) => e.checkVisibility() && !e.disabled && (%s === '' || e.innerText.trim() === %[2]s))`, quotedJS(selector), quotedJS(text))
	w.holds(fmt.Sprintf("there is %s %q to press", selector, text), "!!"+found)
	at := js[[]float64](w, `(() => { const e = `+found+`; e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`)
	js[any](w, `window.pressed = false; addEventListener('click', (e) => { window.pressed ||= !!e.target.closest(`+quotedJS(selector)+`) }, {capture: true, once: true})`)
	w.run(chromedp.MouseClickXY(at[0], at[1]))
	if js[bool](w, `window.pressed === false`) && again > 0 {
		// It was drawn anew, or moved, between a look at it and the mouse. A person presses again.
		w.pressed(selector, text, again-1)
	}
}

// unfold opens details by their summary. Pressed twice it would be closed again, so each press waits for its effect.
func (w *tab) unfold(summary string) {
	w.Helper()
	open := fmt.Sprintf(`[...document.querySelectorAll('summary')].some((e) => e.innerText.trim() === %s && e.parentNode.open)`, quotedJS(summary))
	for range 3 {
		w.pressed("summary", summary, 0)
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // a poll's pause
			if js[bool](w, open) {
				return
			}
		}
	}
	w.Fatalf("%q does not unfold", summary)
}

// choose picks an option as a person does, by its text.
func (w *tab) choose(label, option string) {
	w.Helper()
	w.labelled(label)
	if !js[bool](w, fmt.Sprintf(`(() => { const s = document.activeElement; const o = [...s.options].find((o) => o.text === %s); if (!o) return false; s.value = o.value; s.dispatchEvent(new Event('change', {bubbles: true})); return true })()`, quotedJS(option))) {
		w.Fatalf("%s has no option %q", label, option)
	}
}

// write types into the field with a label, and leaves it.
func (w *tab) write(label, text string) {
	w.Helper()
	w.labelled(label)
	js[any](w, `document.activeElement.value = ''`)
	command(w, input.InsertText, input.InsertTextParams{Text: text})
	w.run(chromedp.KeyEvent("\t"))
}

// labelled focuses the control with a label.
func (w *tab) labelled(label string) {
	w.Helper()
	w.holds("there is a field "+label, fmt.Sprintf(`(() => { const l = [...document.querySelectorAll('label')].find((l) => l.innerText === %s); l?.control?.focus(); return !!l?.control })()`, quotedJS(label)))
}

// path waits until the address is that, query included.
func (w *tab) path(want string) {
	w.Helper()
	w.holds("the address is "+want, `location.pathname + location.search === `+quotedJS(want))
}

// width changes the window's.
func (w *tab) width(pixels int64) { w.run(chromedp.EmulateViewport(pixels, 900)) }

// dark changes what the system asks for.
func (w *tab) dark(yes bool) {
	scheme := "light"
	if yes {
		scheme = "dark"
	}
	command(w, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// shot keeps a picture of the whole page, where a folder for them is named.
func (w *tab) shot(name string) {
	if w.shots == "" {
		return
	}
	png, err := chromedp.Run(w.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		w.Logf("screenshot %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(w.shots, name+".png"), png, 0o644); err != nil {
		w.Error(err)
	}
}

// accessible checks the page as it is with axe-core.
func (w *tab) accessible(what string) {
	w.Helper()
	if !js[bool](w, `!!window.axe`) {
		js[any](w, w.axe)
	}
	found := js[string](w, `axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))
		.map((v) => v.id + ': ' + v.help + ' at ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')).join(' and '))))`)
	var list []string
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		w.Fatalf("axe on %s: %v: %s", what, err, found)
	}
	for _, v := range list {
		w.Errorf("%s keeps people out: %s", what, v)
	}
}

// still checks that nothing moved by itself since the page was loaded, and that the policy refused nothing.
func (w *tab) still(what string) {
	w.Helper()
	if shift := js[float64](w, `seen.shift`); shift > 0.02 {
		w.Errorf("%s shifts by %.3f while it loads: %s", what, shift, strings.Join(js[[]string](w, `seen.shifts`), "\n"))
	}
	if refused := js[[]string](w, `seen.refused`); len(refused) > 0 {
		w.Errorf("%s asks for what its policy refuses: %v", what, refused)
	}
}

// fits checks that nothing sticks out at the side.
func (w *tab) fits(what string) {
	w.Helper()
	if out := js[string](w, `(() => { const d = document.documentElement; if (d.scrollWidth <= d.clientWidth) return ''
		return [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > d.clientWidth + 1 && !e.closest('.scroll, pre')).slice(0, 3).map((e) => e.outerHTML.slice(0, 120)).join(' | ') || 'the page' })()`); out != "" {
		w.Errorf("%s is wider than its window: %s", what, out)
	}
}

func quotedJS(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(b)
}

// hears waits for an answer, or for something wrong, that has the text.
func (w *tab) hears(text string) {
	w.Helper()
	end := time.Now().Add(patience)
	for {
		w.mu.Lock()
		all := slices.Concat(w.answers, w.wrong)
		w.mu.Unlock()
		if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) }) {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("still not heard: %s; what was:\n%s", text, strings.Join(all, "\n"))
		}
		time.Sleep(30 * time.Millisecond) // a poll's pause
	}
}

// heard lists the answers that have a text.
func (w *tab) heard(text string) (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.answers {
		if strings.Contains(a, text) {
			list = append(list, a)
		}
	}
	return list
}

// key presses keys, one after another.
func (w *tab) key(keys ...string) {
	w.Helper()
	for _, k := range keys {
		w.run(chromedp.KeyEvent(k))
	}
}

// reloadPage and goBack are the browser's buttons.
var reloadPage, goBack = chromedp.Reload(), chromedp.NavigateBack()

// expect names what may go wrong.
func (w *tab) expect(parts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = append(w.expected, parts...)
}
