package delivery

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendOutcome appends the message that Encode makes of a record, to the letter. Every attempt makes one, so this goes without
// reflection.
func AppendOutcome(b []byte, o Outcome, id, node string, at time.Time, r *Record) []byte {
	b = append(b, `{"specversion":"1.0","type":`...)
	b = appendText(b, "webhook."+string(o))
	b = append(b, `,"id":`...)
	b = appendText(b, id)
	b = append(b, `,"source":`...)
	b = appendText(b, "bellhop/"+node)
	b = append(b, `,"time":`...)
	b = At(at).append(b)
	b = append(b, `,"datacontenttype":"application/json","data":`...)
	b = r.append(b)
	return append(b, '}')
}

func (r *Record) append(b []byte) []byte {
	b = append(b, `{"delivery_id":`...)
	b = appendText(b, r.DeliveryID)
	b = append(b, `,"event_id":`...)
	b = appendText(b, r.EventID)
	b = append(b, `,"event_type":`...)
	b = appendText(b, r.EventType)
	b = append(b, `,"event_seq":`...)
	b = strconv.AppendUint(b, r.EventSeq, 10)
	b = append(b, `,"rule":`...)
	b = appendText(b, r.Rule)
	b = append(b, `,"webhook":`...)
	b = appendText(b, r.Webhook)
	b = append(b, `,"rules_version":`...)
	b = appendText(b, r.RulesVersion)
	b = append(b, `,"endpoint":`...)
	b = appendText(b, r.Endpoint)
	b = append(b, `,"run":`...)
	b = strconv.AppendInt(b, int64(r.Run), 10)
	b = append(b, `,"attempt":`...)
	b = strconv.AppendInt(b, int64(r.Attempt), 10)
	b = append(b, `,"max_attempts":`...)
	b = strconv.AppendInt(b, int64(r.MaxAttempts), 10)
	b = append(b, `,"started_at":`...)
	b = r.StartedAt.append(b)
	b = append(b, `,"duration_ms":`...)
	// Whole microseconds: never so small or so large that JSON would want an exponent.
	b = strconv.AppendFloat(b, r.DurationMS, 'f', -1, 64)
	if r.Status != 0 {
		b = append(b, `,"status":`...)
		b = strconv.AppendInt(b, int64(r.Status), 10)
	}
	if r.Error != nil {
		b = append(b, `,"error":{"kind":`...)
		b = appendText(b, string(r.Error.Kind))
		b = append(b, `,"message":`...)
		b = appendText(b, r.Error.Message)
		b = append(b, '}')
	}
	if r.NextAttemptAt != nil {
		b = append(b, `,"next_attempt_at":`...)
		b = r.NextAttemptAt.append(b)
	}
	if r.Response != nil {
		b = append(b, `,"response":`...)
		b = r.Response.append(b)
	}
	if r.Request != nil {
		b = append(b, `,"request":`...)
		b = r.Request.append(b)
	}
	return append(b, '}')
}

func (x *Body) append(b []byte) []byte {
	b = append(b, `{"body":`...)
	b = appendText(b, x.Body)
	if x.Truncated != nil {
		b = append(b, `,"truncated":`...)
		b = strconv.AppendBool(b, *x.Truncated)
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// appendText appends a string as JSON, escaped as encoding/json does without HTML: what is no UTF-8 becomes U+FFFD, and the line
// separators, which JavaScript takes for line ends, are escaped.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029':
			b = append(b, s[start:i]...)
			b = append(b, '\\', 'u', '2', '0', '2', hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
