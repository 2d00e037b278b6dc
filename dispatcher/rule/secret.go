package rule

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// reference is one ${NAME} or ${file:name} in a text.
type reference struct {
	text       string // as written, braces included
	name       string
	file       bool
	start, end int // in bytes, of text
}

// references finds the secrets that a text refers to, and says what is wrong with others. A dollar sign that no brace follows is
// just that.
func references(s string) (found []reference, wrong []error) {
	for at := 0; ; {
		i := strings.Index(s[at:], "${")
		if i < 0 {
			return found, wrong
		}
		start := at + i
		length := strings.IndexByte(s[start:], '}')
		if length < 0 {
			return found, append(wrong, errors.New("${ is never closed by }"))
		}
		r := reference{text: s[start : start+length+1], start: start, end: start + length + 1}
		r.name = r.text[2 : len(r.text)-1]
		if name, ok := strings.CutPrefix(r.name, "file:"); ok {
			r.name, r.file = name, true
		}
		at = r.end
		if err := r.check(); err != nil {
			wrong = append(wrong, err)
			continue
		}
		found = append(found, r)
	}
}

func (r reference) check() error {
	shown := cut(r.text, maxShown)
	if r.file {
		// A secret is a file right in its folder: nothing in a rule file may reach another place of the disk.
		if r.name == "" || r.name == "." || r.name == ".." || strings.ContainsAny(r.name, "/\\\x00") {
			return fmt.Errorf("%q does not name a file in secrets_dir: a plain name, without slashes", shown)
		}
		return nil
	}
	for i := range len(r.name) {
		c := r.name[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return fmt.Errorf("%q does not name a secret: letters, digits and _, or file: and a name", shown)
		}
	}
	if r.name == "" {
		return fmt.Errorf("%q does not name a secret: letters, digits and _, or file: and a name", shown)
	}
	return nil
}

// secretText is a text whose secrets may have been resolved.
type secretText struct {
	masked   string // as written
	value    string // secrets put in; masked where they are not
	refs     []reference
	values   []string // of refs; nil where unresolved
	resolved bool
}

// substitute puts a text for each of the references.
func (t *secretText) substitute(with func(i int) string) string {
	var b strings.Builder
	at := 0
	for i, r := range t.refs {
		b.WriteString(t.masked[at:r.start])
		b.WriteString(with(i))
		at = r.end
	}
	b.WriteString(t.masked[at:])
	return b.String()
}

// names lists the references as written, for problems: never their values.
func (t *secretText) names() string {
	var names []string
	seen := map[string]bool{}
	for _, r := range t.refs {
		if !seen[r.text] {
			seen[r.text] = true
			names = append(names, r.text)
		}
	}
	return strings.Join(names, " and ")
}

// secrets reads the references of a scalar and resolves them; false where that is reported as an error.
func (c *compiler) secrets(s Scalar) (secretText, bool) {
	t := secretText{masked: s.Text, value: s.Text}
	var wrong []error
	t.refs, wrong = references(s.Text)
	for _, err := range wrong {
		c.errorAt(s, "%v", err)
	}
	ok := len(wrong) == 0
	if len(t.refs) == 0 {
		t.resolved = ok
		return t, ok
	}
	if c.options.Secret == nil {
		seen := map[string]bool{}
		for _, r := range t.refs {
			if !seen[r.text] {
				seen[r.text] = true
				c.warnAt(s, "%s is not resolved", r.text)
			}
		}
		return t, ok
	}
	failed := map[string]bool{}
	for _, r := range t.refs {
		v, err := c.options.Secret(r.name, r.file)
		if err != nil {
			if !failed[r.text] {
				failed[r.text] = true
				c.errorAt(s, "%s: %v", r.text, err)
			}
			ok = false
			continue
		}
		t.values = append(t.values, v)
	}
	if !ok {
		return t, false
	}
	t.resolved = true
	t.value = t.substitute(func(i int) string { return t.values[i] })
	return t, true
}

// signingPrefix begins a signing secret of Standard Webhooks.
const signingPrefix = "whsec_"

// signingKey decodes a signing secret.
func signingKey(s string) ([]byte, bool) {
	encoded, ok := strings.CutPrefix(s, signingPrefix)
	if !ok {
		return nil, false
	}
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	// The decoder skips line breaks, which a secret that was pasted or mounted badly would hold.
	if err != nil || len(key) == 0 || strings.ContainsAny(encoded, "\r\n") {
		return nil, false
	}
	return key, true
}

// signingKeys reads a webhook's signing secrets.
func (c *compiler) signingKeys(w *Webhook, scalars []Scalar) {
	for _, s := range scalars {
		w.Signed = true
		t, ok := c.secrets(s)
		w.conceal(t, signingParts)
		if !ok {
			continue
		}
		if !t.resolved {
			w.Unresolved = true
			continue
		}
		whose := "the secret"
		if len(t.refs) > 0 {
			whose = "the value of " + t.names()
		}
		key, ok := signingKey(t.value)
		if !ok {
			c.errorAt(s, "%s is not whsec_ and base64", whose)
			continue
		}
		if len(t.refs) == 0 {
			c.warnAt(s, "a signing secret in a rule file is stored with its text: put it in a secret and write ${NAME}")
		}
		if len(key) < 24 || len(key) > 64 {
			c.warnAt(s, "%s holds a key of %d bytes; Standard Webhooks asks for 24 to 64", whose, len(key))
		}
		w.Secrets = append(w.Secrets, key)
	}
}
