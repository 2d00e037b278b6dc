package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"bellhop/dispatcher/endpoint"
	"bellhop/template"
)

// The bounds of a webhook's own settings.
const (
	minTimeout = time.Millisecond
	maxTimeout = 10 * time.Minute
	// maxRetries bounds a delay that doubles: from 5 s, the twentieth is a month.
	maxRetries = 20
)

// webhook compiles the webhook at place i of its rule, as far as it can be. names are those of the webhooks before it, nil where it is the
// only one.
func (c *compiler) webhook(r *Rule, def *WebhookDef, i int, names map[string]Pos) *Webhook {
	w := &Webhook{Rule: r, Name: webhookName(def, i), Pos: def.Pos}
	at := def.Name
	if at.Type == Absent {
		at = Scalar{Text: w.Name, Pos: def.Pos, Path: def.Path}
	} else {
		c.nameShape(at, "webhook")
	}
	if first, taken := names[w.Name]; taken {
		c.errorAt(at, "webhook %q is already defined in this rule at %s", cut(w.Name, maxShown), first)
	} else if names != nil {
		names[w.Name] = at.Pos
	}
	c.endpoint(w, def)
	c.parameters(w, def.Parameters)
	if def.Filter != nil {
		w.filter = c.compile(def.Filter, 1).filter
	}
	if def.When.Type != Absent {
		w.when = c.when(def.When)
	}
	w.Timeout = c.timeout(def.Timeout)
	w.Retries = c.retries(def.Retries)
	c.headers(w, def.Headers)
	c.signingKeys(w, def.Secrets)
	return w
}

// when compiles an expression, once for all the webhooks that have it.
func (c *compiler) when(s Scalar) *when {
	if w, ok := c.whens[s.Text]; ok {
		return w
	}
	w, err := compileWhen(s.Text)
	if err != nil {
		c.errorAt(s, "%v", err)
		return nil
	}
	if ok, err := c.patterns.charge(w.patterns); !ok {
		if err != nil {
			c.errorAt(s, "%v", err)
		}
		return nil
	}
	c.whens[s.Text] = w
	return w
}

func (c *compiler) timeout(s Scalar) time.Duration {
	if s.Type == Absent {
		return c.options.Defaults.Timeout
	}
	d, err := time.ParseDuration(s.Text)
	switch {
	case err != nil:
		c.errorAt(s, "%s is no duration: 10s, 1m30s, 500ms", described(s))
	case d < minTimeout || d > maxTimeout:
		c.errorAt(s, "%s is out of bounds: 1ms to 10m", s.Text)
	}
	return d
}

func (c *compiler) retries(s Scalar) int {
	if s.Type == Absent {
		return c.options.Defaults.Retries
	}
	n, err := strconv.Atoi(s.Text)
	if err != nil || s.Type != NumberScalar || n < 0 || n > maxRetries {
		c.errorAt(s, "retries needs a whole number from 0 to %d, not %s", maxRetries, described(s))
	}
	return n
}

// encoding reads the webhook's encoding; where it is none, the endpoint is still looked at as by the default.
func (c *compiler) encoding(s Scalar) endpoint.Encoding {
	text := s.Text
	if s.Type == Absent {
		text = c.options.Defaults.Encoding
	}
	switch e := endpoint.Encoding(text); e {
	case endpoint.Normalize, endpoint.Literal:
		return e
	case "":
		if s.Type == Absent {
			return endpoint.Normalize
		}
	}
	c.errorAt(s, "encoding is normalize or literal, not %s", described(s))
	return endpoint.Normalize
}

// endpoint checks the endpoint and encodes it, for the wire and for people.
func (c *compiler) endpoint(w *Webhook, def *WebhookDef) {
	encoding := c.encoding(def.Encoding)
	s := def.Endpoint
	if s.Type == Absent || s.Type == NullScalar {
		pos := s.Pos
		if s.Type == Absent {
			pos = def.Pos
		}
		c.lack(pos, def.Path+".endpoint", "a webhook without an endpoint")
		return
	}
	if n := utf8.RuneCountInString(s.Text); n > endpoint.MaxLength {
		c.errorAt(s, "%d characters, at most %d", n, endpoint.MaxLength)
		return
	}
	t, resolved := c.secrets(s)
	w.conceal(t, endpointParts)
	if !resolved {
		return
	}
	shown, host, err := address(w, &t, encoding)
	if err != nil {
		c.errorAt(s, "%v", err)
		return
	}
	w.Endpoint = shown
	w.concealHost()
	if encoding == endpoint.Literal && hasEscape(s.Text) {
		c.warnAt(s, "percent escapes under literal are percent signs: goes out as %s", shown)
	}
	if c.options.Forbidden != nil && host != "" {
		if why := c.options.Forbidden(host); why != "" {
			c.warnAt(s, "%s will be refused: %s; only the daemon's delivery.allow_networks can permit it", host, why)
		}
	}
}

// address sets where the webhook POSTs to, as far as it is known. It gives the endpoint as people may see it, and its host, which is
// "" where a secret is in it.
func address(w *Webhook, t *secretText, encoding endpoint.Encoding) (shown, host string, err error) {
	if len(t.refs) == 0 {
		if w.URL, err = endpoint.Parse(t.value, encoding); err != nil {
			return "", "", err
		}
		return w.URL.Text, hostname(w.URL), nil
	}
	if shown, host, err = display(t, encoding); err != nil {
		return "", "", err
	}
	if !t.resolved {
		w.Unresolved, w.URL = true, endpoint.URL{Text: shown}
		return shown, host, nil
	}
	// ParseResolved's error quotes nothing of what it read.
	if w.URL, err = endpoint.ParseResolved(t.value, encoding); err != nil {
		return "", "", fmt.Errorf("with %s filled in: %w", t.names(), err)
	}
	return shown, host, nil
}

// display encodes an endpoint for people, each reference shown as it is written. The host is "" where it holds one.
// Where a reference stands for so much that the rest is no endpoint, all is shown as it is written.
func display(t *secretText, encoding endpoint.Encoding) (shown, host string, err error) {
	marks := marksFor(t)
	u, err := endpoint.ParseResolved(t.substitute(func(i int) string { return marks[i] }), encoding)
	if err != nil {
		if t.resolved || t.refs[0].start == 0 {
			// Whether it is an endpoint shows once the secrets are in.
			return t.masked, "", nil
		}
		return "", "", err
	}
	shown, host = u.Text, hostname(u)
	for i, m := range marks {
		if strings.Contains(host, m) {
			host = ""
		}
		shown = strings.Replace(shown, m, t.refs[i].text, 1)
	}
	return shown, host, nil
}

// marksFor gives each reference a text that stands nowhere else and that every encoding leaves alone: letters that are no
// hex digits around digits, or digits alone where a port stands.
func marksFor(t *secretText) []string {
	marks := make([]string, len(t.refs))
	for salt := 0; ; salt++ {
		unique := true
		for i, r := range t.refs {
			marks[i] = fmt.Sprintf("zq%dx%dz", salt, i)
			if strings.HasSuffix(t.masked[:r.start], ":") && !strings.HasPrefix(t.masked[r.end:], "//") {
				marks[i] = fmt.Sprintf("4%02d%02d", salt%100, i)
			}
			unique = unique && !strings.Contains(t.masked, marks[i])
		}
		if unique {
			return marks
		}
	}
}

func hostname(u endpoint.URL) string {
	if u.Wire == nil {
		return ""
	}
	return u.Wire.Hostname()
}

// hasEscape tells whether the text holds a percent sign and two hex digits.
func hasEscape(s string) bool {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && isHex(s[i+1]) && isHex(s[i+2]) {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// parameters compiles the parameters in their written order. Webhooks made by a program have the same ones: they share them.
func (c *compiler) parameters(w *Webhook, params []Parameter) {
	list := c.scratch[:0]
	for _, p := range params {
		if p.Name.Text == "" {
			c.warnAt(p.Value, "a parameter without a name")
		}
		v := c.value(p.Value.Text)
		for _, x := range v.suspects {
			at := p.Value
			at.Pos = c.place(p.Value, x)
			c.warnAt(at, "@%s is no variable; did you mean @%s?", x.Name, x.Meant)
		}
		if v.err != nil {
			c.errorAt(p.Value, "%v", v.err)
		}
		list = append(list, Param{Name: p.Name.Text, Value: v.template, pieces: v.pieces})
	}
	c.scratch = list
	// Templates are one where their sources are.
	if !slices.EqualFunc(c.params, list, func(a, b Param) bool { return a.Name == b.Name && a.Value == b.Value }) {
		c.params = slices.Clone(list)
	}
	if len(list) > 0 {
		w.Parameters = c.params
	}
}

// value is a parameter's value, compiled.
type value struct {
	template *template.Template
	suspects []template.Suspect
	pieces   []*template.Template
	err      error
}

// value compiles a parameter's value, once for all that have it.
func (c *compiler) value(text string) value {
	v, ok := c.values[text]
	if !ok {
		v.template = template.Parse(text)
		v.suspects = v.template.Suspects()
		v.pieces, v.err = pieces(text)
		c.values[text] = v
	}
	return v
}

// place finds where the variable stands in its file: right where the value's own place says, if it is written without
// quotes; else where its text first shows on the value's line; else the value's place.
func (c *compiler) place(v Scalar, x template.Suspect) Pos {
	line := c.lines.line(v.Pos)
	if v.Pos.Column < 1 || v.Pos.Column > len(line) {
		return v.Pos
	}
	before := utf8.RuneCountInString(v.Text[:x.Offset])
	rest := line[v.Pos.Column-1:]
	written := []rune(v.Text)
	for _, quote := range []int{0, 1} {
		if at := quote + before; quote+len(written) <= len(rest) && string(rest[quote:quote+len(written)]) == v.Text {
			v.Pos.Column += at
			return v.Pos
		}
	}
	if i := strings.Index(string(rest), v.Text[x.Offset:x.Offset+1+len(x.Name)]); i >= 0 {
		v.Pos.Column += utf8.RuneCountInString(string(rest)[:i])
	}
	return v.Pos
}

// fileLines finds lines of the rule files, for the places of variables. It is safe for concurrent use.
type fileLines struct {
	files []SourceFile

	mu    sync.Mutex
	lines map[string][]string // of the files that were asked for
}

// line returns the characters of a line, none where the file's text is not at hand.
func (f *fileLines) line(p Pos) []rune {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines, ok := f.lines[p.File]
	if !ok {
		for _, file := range f.files {
			if file.Path == p.File {
				lines = strings.Split(file.Text, "\n")
			}
		}
		if f.lines == nil {
			f.lines = map[string][]string{}
		}
		f.lines[p.File] = lines
	}
	if p.Line < 1 || p.Line > len(lines) {
		return nil
	}
	return []rune(lines[p.Line-1])
}
