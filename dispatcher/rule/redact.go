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

// shortSecret is the length from which a value is concealed: a shorter one is no secret, and is in every text.
const shortSecret = 3

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

// conceal remembers the secrets of a text. Longer ones come first, so that nothing is left of one that holds another.
func (w *Webhook) conceal(t secretText) {
	if !t.resolved {
		return
	}
	for i, v := range t.values {
		hide := func(v string) {
			if len(v) >= shortSecret {
				w.concealed = append(w.concealed, concealed{v, t.refs[i].text, plainRun(v)})
			}
		}
		hide(v)
		// One that is written with escapes goes out, and comes back, with others that mean the same.
		if meant := (spelled{text: v, size: len(v)}).unescape(readPercent, false).text; meant != v {
			hide(meant)
		}
	}
	slices.SortStableFunc(w.concealed, func(a, b concealed) int { return len(b.value) - len(a.value) })
}

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
