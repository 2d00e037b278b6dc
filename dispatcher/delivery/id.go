package delivery

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// idBytes is how much of the hash an id keeps: 128 bits make an accidental collision, which would swallow a delivery,
// unthinkable, in 32 characters that are legal in a subject token and in a header.
const idBytes = 16

// ID makes a delivery's id from the event's identity, the rule's and the webhook's names: the same three give the same id
// on every daemon, and no other three do (each part is hashed with its length). It is 32 lower-case hex digits.
func ID(identity, rule, webhook string) string {
	var few [256]byte
	b := few[:0]
	for _, part := range [...]string{identity, rule, webhook} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	var id [2 * idBytes]byte
	hex.Encode(id[:], sum[:idBytes])
	return string(id[:])
}

// OutcomeID is the Nats-Msg-Id of one attempt's outcome: <delivery id>.<run>.<attempt>.
func OutcomeID(id string, run, attempt int) string {
	b := make([]byte, 0, len(id)+8)
	b = append(b, id...)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(run), 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, int64(attempt), 10)
	return string(b)
}

// RejectedID is the Nats-Msg-Id of the outcome of an event that could not be read: <stream>-<sequence>.rejected.
func RejectedID(stream string, seq uint64) string {
	return stream + "-" + strconv.FormatUint(seq, 10) + ".rejected"
}

// Headers of an outcome's message besides its Nats-Msg-Id, so that counting and finding need no bodies.
const (
	HeaderRule     = "Bellhop-Rule"
	HeaderWebhook  = "Bellhop-Webhook"
	HeaderEndpoint = "Bellhop-Endpoint"
	HeaderKind     = "Bellhop-Error-Kind"
	HeaderEvent    = "Bellhop-Event"       // the event's id
	HeaderUser     = "Bellhop-User"        // the id of the user whom the event is about, where it names one
	HeaderDuration = "Bellhop-Duration-Ms" // of the attempt, as in duration_ms
)

// maxHeader bounds an id in a header.
const maxHeader = 256

// HeaderText makes an id fit for a header: "" where it is too long or holds what no header may.
func HeaderText(id string) string {
	if len(id) > maxHeader {
		return ""
	}
	for i := range len(id) {
		if c := id[i]; c < ' ' || c == 0x7f {
			return ""
		}
	}
	return strings.TrimSpace(id)
}

// ParseOutcomeID reads a Nats-Msg-Id that OutcomeID made; false for any other.
func ParseOutcomeID(s string) (id string, run, attempt int, ok bool) {
	id, numbers, _ := strings.Cut(s, ".")
	first, second, _ := strings.Cut(numbers, ".")
	run, ok = written(first)
	if ok {
		attempt, ok = written(second)
	}
	if !ok {
		return "", 0, 0, false
	}
	return id, run, attempt, true
}

// written reads a number as OutcomeID writes it: another spelling would be another id to the bus.
func written(s string) (int, bool) {
	if s == "" || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
