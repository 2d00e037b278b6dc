package rule

import "strings"

// concealed is one resolved secret in one spelling, and what is shown in its place.
type concealed struct{ value, shown string }

// shortSecret is the length from which a value is concealed: a shorter one is no secret, and is in every text.
const shortSecret = 3

// conceal remembers the secrets of a text, as they are and as URLs and forms spell them.
func (w *Webhook) conceal(t secretText) {
	if !t.resolved {
		return
	}
	for i, v := range t.values {
		if len(v) < shortSecret {
			continue
		}
		for _, spelling := range []string{v, percentEncode(v, "%20", upperHex), percentEncode(v, "+", upperHex), percentEncode(v, "%20", lowerHex)} {
			w.concealed = append(w.concealed, concealed{spelling, t.refs[i].text})
		}
	}
}

// Redact shows the webhook's resolved secrets by their names wherever a text of a receiver's holds them. cut says that the
// text was cut at its end, where the beginning of a secret goes too.
func (w *Webhook) Redact(text string, cut bool) string {
	for _, c := range w.concealed {
		text = strings.ReplaceAll(text, c.value, c.shown)
	}
	if !cut {
		return text
	}
	for _, c := range w.concealed {
		for n := min(len(c.value)-1, len(text)); n >= shortSecret; n-- {
			if strings.HasSuffix(text, c.value[:n]) {
				text = text[:len(text)-n]
				break
			}
		}
	}
	return text
}

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

// percentEncode encodes all but the unreserved characters (RFC 3986, 2.3).
func percentEncode(s, space, hex string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c == ' ':
			b.WriteString(space)
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
