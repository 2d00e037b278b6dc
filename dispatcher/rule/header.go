package rule

import (
	"maps"
	"slices"
	"strings"
)

// reserved lists the headers, in lower case, that a rule file cannot set, with who does. The hop-by-hop ones (RFC 9110,
// section 7.6.1) belong to the connection, not to the request.
var reserved = map[string]string{
	"content-type":        "Bellhop sets it",
	"content-length":      "Bellhop sets it",
	"host":                "it is the endpoint's",
	"transfer-encoding":   "it belongs to the connection",
	"connection":          "it belongs to the connection",
	"keep-alive":          "it belongs to the connection",
	"proxy-connection":    "it belongs to the connection",
	"proxy-authorization": "it belongs to the connection",
	"te":                  "it belongs to the connection",
	"trailer":             "it belongs to the connection",
	"upgrade":             "it belongs to the connection",
	"expect":              "it belongs to the connection",
}

// ReservedHeaders lists the headers, in lower case and sorted, that a rule file cannot set; besides them are those that
// begin with webhook-.
func ReservedHeaders() []string { return slices.Sorted(maps.Keys(reserved)) }

// headers checks the webhook's own headers and fills their secrets in.
func (c *compiler) headers(w *Webhook, defs []HeaderDef) {
	first := map[string]Pos{}
	for _, def := range defs {
		name := strings.ToLower(def.Name.Text)
		why, taken := reserved[name]
		at, twice := first[name]
		switch {
		case !isToken(name):
			c.errorAt(def.Name, "%q is no header's name: letters, digits and !#$%%&'*+-.^_`|~", cut(def.Name.Text, maxShown))
		case taken:
			c.errorAt(def.Name, "%s cannot be set: %s", def.Name.Text, why)
		case strings.HasPrefix(name, "webhook-"):
			c.errorAt(def.Name, "%s cannot be set: headers that begin with webhook- are Bellhop's", def.Name.Text)
		case twice:
			c.errorAt(def.Name, "%s is already set at %s", def.Name.Text, at)
		default:
			first[name] = def.Name.Pos
		}
		c.header(w, def)
	}
}

func (c *compiler) header(w *Webhook, def HeaderDef) {
	if what := illegal(def.Value.Text); what != "" {
		c.errorAt(def.Value, "the value holds %s", what)
		return
	}
	t, ok := c.secrets(def.Value)
	w.conceal(t, headerParts)
	if !ok {
		return
	}
	if !t.resolved {
		w.Unresolved = true
	}
	// What a secret brings is judged like what is written, but never shown.
	for i, v := range t.values {
		if what := illegal(v); what != "" {
			c.errorAt(def.Value, "the value of %s holds %s", t.refs[i].text, what)
			return
		}
	}
	// Space around a value is no part of it (RFC 9110, section 5.5), and HTTP/1.1 leaves it out where HTTP/2 would not.
	w.Headers = append(w.Headers, Header{
		Name: def.Name.Text, Value: strings.Trim(t.value, " \t"), Masked: strings.Trim(t.masked, " \t"),
	})
}

// illegal names what may not stand in a header's value (RFC 9110, section 5.5), "" where all may.
func illegal(value string) string {
	for i := range len(value) {
		switch c := value[i]; {
		case c == '\r' || c == '\n':
			return "a line break"
		case c == 0:
			return "a NUL"
		case c < ' ' && c != '\t' || c == 0x7f:
			return "a control character"
		}
	}
	return ""
}

// isToken tells whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}
