package rule

import (
	"slices"
	"strings"
)

// concealed is one resolved secret, and what is shown in its place.
type concealed struct {
	value, shown string
	run          string // the longest of value that no spelling changes: a text without it does not hold the value whole
}

const (
	// shortSecret is the length from which a value is concealed: a shorter one is no secret, and is in every text.
	shortSecret = 3
	// shortPart is the length from which a part of a value is.
	shortPart = 6
)

// SecretLane is what may be shown of the endpoint's lane where a secret is part of it; "" where none is.
func (w *Webhook) SecretLane() string {
	start := 0
	if scheme, _, ok := strings.Cut(w.Endpoint, "://"); ok {
		start = len(scheme) + len("://")
	}
	lane := w.Endpoint
	if end := strings.IndexAny(lane[start:], "/?"); end >= 0 {
		lane = lane[:start+end]
	}
	if !strings.Contains(lane, "${") {
		return ""
	}
	return lane
}

// conceal remembers the secrets of a text, and the parts of each, which a receiver may send back by themselves: parts gives those.
func (w *Webhook) conceal(t secretText, parts func(string) []string) {
	if !t.resolved {
		return
	}
	for i, v := range t.values {
		w.hide(v, t.refs[i].text)
		for _, part := range parts(v) {
			if len(part) >= shortPart && part != v {
				w.hide(part, t.refs[i].text)
			}
		}
	}
	w.sortConcealed()
}

// sortConcealed puts longer ones first, so that nothing is left of one that holds another.
func (w *Webhook) sortConcealed() {
	slices.SortStableFunc(w.concealed, func(a, b concealed) int { return len(b.value) - len(a.value) })
}

func (w *Webhook) hide(value, shown string) {
	add := func(v string) {
		if len(v) >= shortSecret {
			w.concealed = append(w.concealed, concealed{v, shown, plainRun(v)})
		}
	}
	add(value)
	// One that is written with escapes goes out, and comes back, with others that mean the same.
	if meant := (spelled{text: value, size: len(value)}).unescape(readPercent, false).text; meant != value {
		add(meant)
	}
}

// concealHost remembers the host of an endpoint, as it goes out, where a secret is part of it: in lower case, and beyond ASCII as punycode.
func (w *Webhook) concealHost() {
	shown, host := w.SecretLane(), hostname(w.URL)
	if shown == "" || len(host) < shortPart {
		return
	}
	if _, after, ok := strings.Cut(shown, "://"); ok {
		shown = after
	}
	if i := strings.LastIndexByte(shown, ':'); i >= 0 && strings.Trim(shown[i+1:], "0123456789") == "" {
		shown = shown[:i]
	}
	w.hide(host, shown)
	w.sortConcealed()
}

// endpointParts are what a receiver gets of a secret in an endpoint: no scheme, host and port in lower case, path and query by themselves,
// or taken to pieces and read as a form.
func endpointParts(v string) []string {
	rest := v
	parts := []string{strings.ToLower(v)}
	if _, after, ok := strings.Cut(v, "://"); ok {
		end := strings.IndexAny(after, "/?")
		if end < 0 {
			end = len(after)
		}
		rest = after[end:]
		parts = append(parts, strings.ToLower(after[:end]), rest)
	}
	path, query, _ := strings.Cut(rest, "?")
	parts = append(parts, path, query)
	parts = append(parts, strings.FieldsFunc(rest, func(c rune) bool { return strings.ContainsRune("/?&=", c) })...)
	for _, one := range append([]string{v}, parts...) {
		if strings.Contains(one, "+") {
			parts = append(parts, strings.ReplaceAll(one, "+", " "))
		}
	}
	return parts
}

// headerParts are what may come back of a header's value: the credentials without their scheme (RFC 9110, section 11.4).
func headerParts(v string) []string {
	_, credentials, _ := strings.Cut(v, " ")
	return []string{strings.TrimSpace(credentials)}
}

// signingParts are what may come back of a signing secret, which the receiver has as well.
func signingParts(v string) []string { return []string{strings.TrimPrefix(v, signingPrefix)} }

// plainRun is the longest run of letters and digits of a value.
func plainRun(v string) string {
	longest := ""
	for rest := v; rest != ""; {
		n := 0
		for n < len(rest) && alphanumeric(rest[n]) {
			n++
		}
		if n > len(longest) {
			longest = rest[:n]
		}
		rest = rest[min(len(rest), n+1):]
	}
	return longest
}

func alphanumeric(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }

// Redact shows the webhook's resolved secrets by their names wherever a text of a receiver's holds them: as they are, or as
// URLs, forms, JSON and HTML spell them. cut says that the text was cut at its end, where the beginning of a secret goes too.
func (w *Webhook) Redact(text string, cut bool) string {
	var covers []stretch
	var ways []spelled // of text, made when they are needed
	for _, c := range w.concealed {
		if !cut && !strings.Contains(text, c.run) {
			continue
		}
		if ways == nil {
			ways = readings(text, cut)
		}
		for _, way := range ways {
			covers = way.find(covers, c, cut)
		}
	}
	if len(covers) == 0 {
		return text
	}
	// Where two overlap, what begins first goes, and of those the longest.
	slices.SortStableFunc(covers, func(a, b stretch) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	var b strings.Builder
	at := 0
	for _, c := range covers {
		if c.from >= at {
			b.WriteString(text[at:c.from])
			b.WriteString(c.shown)
		}
		at = max(at, c.to)
	}
	b.WriteString(text[at:])
	return b.String()
}

// stretch is a part of a text that is not shown.
type stretch struct {
	from, to int
	shown    string
}

// find appends where the text holds a secret.
func (s spelled) find(covers []stretch, c concealed, cut bool) []stretch {
	for at := 0; ; {
		i := strings.Index(s.text[at:], c.value)
		if i < 0 {
			break
		}
		at += i + len(c.value)
		covers = append(covers, stretch{s.at(at - len(c.value)), s.at(at), c.shown})
	}
	if !cut {
		return covers
	}
	for n := min(len(c.value)-1, len(s.text)); n >= shortSecret; n-- {
		if strings.HasSuffix(s.text, c.value[:n]) {
			return append(covers, stretch{s.at(len(s.text) - n), s.size, ""})
		}
	}
	return covers
}
