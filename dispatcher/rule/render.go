package rule

import (
	"fmt"
	"strings"

	"bellhop/dispatcher/event"
	"bellhop/template"
)

// MaxBody is the size in bytes that no webhook's body exceeds: 8 MiB. A small event can be multiplied by a parameter
// that names the same field over and over; the bound keeps that from taking the daemon's memory.
const MaxBody = 8 << 20

// BodyError says that a body would have been larger than MaxBody.
type BodyError struct {
	Size int // bytes rendered when rendering stopped: the whole body is at least this long
}

// Error implements error.
func (e *BodyError) Error() string {
	return fmt.Sprintf("body of at least %d bytes, at most %d", e.Size, MaxBody)
}

// Render appends the webhook's form body for the event: the parameters in their written order, duplicates kept, in the
// application/x-www-form-urlencoded serialization. It fails with a *BodyError, and appends nothing, where the body is
// larger than MaxBody. It may be called concurrently.
func (w *Webhook) Render(dst []byte, e *event.Event) ([]byte, error) {
	// The serializer joins pairs by what it finds before them, so the body must begin where it sees nothing.
	body := dst[len(dst):]
	var scratch []byte
	for i := range w.Parameters {
		p := &w.Parameters[i]
		if p.pieces == nil {
			body, scratch = p.Value.AppendForm(body, scratch, p.Name, e)
		} else {
			var err error
			if scratch, err = p.appendPieces(scratch[:0], e); err != nil {
				return dst, err
			}
			body = template.AppendForm(body, p.Name, scratch)
		}
		if len(body) > MaxBody {
			return dst, &BodyError{len(body)}
		}
	}
	return append(dst, body...), nil
}

// appendPieces renders a value with many variables, stopping where it is too long already.
func (p *Param) appendPieces(dst []byte, e *event.Event) ([]byte, error) {
	for _, piece := range p.pieces {
		dst = piece.Append(dst, e)
		if len(dst) > MaxBody {
			return dst, &BodyError{len(dst)}
		}
	}
	return dst, nil
}

const (
	// fewVariables is how many variables of a value are rendered in one go: few enough that even 8 MiB each are bearable.
	fewVariables = 8
	// mostTogether bounds the variables that no piece's end parts from one another.
	mostTogether = 32
)

// pieces splits a parameter's value with more than a few variables so that its rendering can stop between them: nil
// where there is no need. It fails where too many variables stand so close that they cannot be told apart.
func pieces(value string) ([]*template.Template, error) {
	if strings.Count(value, "@") <= fewVariables {
		return nil, nil
	}
	var found []*template.Template
	for value != "" {
		n := pieceLength(value)
		if strings.Count(value[:n], "@") > mostTogether && !strings.HasPrefix(value, "@@") {
			return nil, fmt.Errorf("more than %d variables run together", mostTogether)
		}
		found = append(found, template.Parse(value[:n]))
		value = value[n:]
	}
	return found, nil
}

// pieceLength measures the shortest beginning of s at whose end the template's reader would start afresh: before an @
// that is not the second of @@ and that no letter or digit of literal text precedes.
func pieceLength(s string) int {
	// All so far is one variable without braces.
	variable := len(s) > 1 && s[0] == '@' && s[1] < 0x80 && isWordByte(s[1]) && (s[1] < '0' || s[1] > '9')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '@' {
			variable = variable && (isWordByte(c) && c < 0x80 || c == '.')
			continue
		}
		if i > 0 && (variable || !isWordByte(s[i-1]) && s[i-1] != '@') {
			return i
		}
		switch {
		case strings.HasPrefix(s[i:], "@@"):
			i++
		case strings.HasPrefix(s[i:], "@{"):
			// What stands in braces may hold anything but an @.
			if end := strings.IndexAny(s[i+2:], "}@"); end >= 0 && s[i+2+end] == '}' {
				i += 2 + end
			}
		}
	}
	return len(s)
}

// isWordByte tells whether c is part of a word: a letter, a digit or _, all bytes outside ASCII taken for letters.
func isWordByte(c byte) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c >= 0x80
}
