package endpoint

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	readLimit     = 16 << 10 // of a response's body, so that most connections can be used again
	keepLimit     = 1 << 10  // of that, what an outcome shows
	maxRetryAfter = time.Hour
)

var buffers = sync.Pool{New: func() any { return new([readLimit]byte) }}

// readBody reads up to 16 KiB, as far as the attempt's deadline lets it, and keeps the first 1 KiB. What is left unread
// costs the connection when the body is closed.
func readBody(resp *http.Response) (kept []byte, truncated bool) {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.ContentLength == 0 {
		return nil, false // after a 101 comes another protocol's traffic, not a body
	}
	buf := buffers.Get().(*[readLimit]byte)
	defer buffers.Put(buf)
	n := 0
	for n < len(buf) {
		m, err := resp.Body.Read(buf[n:])
		n += m
		if err != nil {
			break // the end, or the deadline: the status stands either way
		}
	}
	if n == 0 {
		return nil, false
	}
	return bytes.Clone(buf[:min(n, keepLimit)]), n > keepLimit || resp.ContentLength > int64(min(n, keepLimit))
}

// retryAfter reads RFC 9110, 10.2.3, where this daemon heeds it. A date counts from now, by the local clock: the next
// attempt is scheduled by that clock too.
func retryAfter(status int, value string, now time.Time) time.Duration {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if digits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// statusText is "503 Service Unavailable", or the bare number of a status that has no name. The server's own words are
// left out: they may repeat the request.
func statusText(code int) string {
	if text := http.StatusText(code); text != "" {
		return strconv.Itoa(code) + " " + text
	}
	return strconv.Itoa(code)
}
