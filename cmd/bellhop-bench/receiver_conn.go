package main

import (
	"bytes"
	"encoding/hex"
	"net"
	"strconv"
)

const (
	answerBody = "ok"
	flakyPath  = "/flaky"

	answerOK    = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n" + answerBody
	answerFlaky = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n" + answerBody
	answerBad   = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

	// maxRequest bounds what is read of one request.
	maxRequest = 16 << 20
)

var (
	answersOK    = []byte(answerOK)
	answersFlaky = []byte(answerFlaky)
)

// serve reads requests off one connection until it ends: one read and one write each where the request comes in one piece.
func (r *receiver) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	c := r.open()
	defer r.leave(c)
	buf := make([]byte, 4<<10)
	have := 0
	for {
		n, size, ok := parseRequest(buf[:have])
		if !ok {
			_, _ = nc.Write([]byte(answerBad)) // it is closed anyway
			return
		}
		if size == 0 || size > have {
			if size > len(buf) || have == len(buf) {
				if max(size, 2*len(buf)) > maxRequest {
					return
				}
				buf = append(buf, make([]byte, max(size, 2*len(buf))-len(buf))...)
			}
			m, err := nc.Read(buf[have:])
			have += m
			if err != nil {
				return
			}
			continue
		}
		if r.sample.Load() == nil {
			one := bytes.Clone(buf[:size])
			r.sample.Store(&one)
		}
		answer := answersOK
		if r.take(c, n) != 200 {
			answer = answersFlaky
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
		have = copy(buf, buf[size:have])
	}
}

// parseRequest reads one POST at the start of b. size is how many bytes it has, 0 while that cannot be known; b may hold fewer.
// ok is false for what is no POST of a webhook.
func parseRequest(b []byte) (n note, size int, ok bool) {
	head := bytes.Index(b, []byte("\r\n\r\n"))
	if head < 0 {
		return n, 0, len(b) < 64<<10
	}
	line, headers, _ := bytes.Cut(b[:head+2], []byte("\r\n"))
	path, isPost := bytes.CutPrefix(line, []byte("POST "))
	if !isPost {
		return n, 0, false
	}
	n.flaky = bytes.HasPrefix(path, []byte(flakyPath))
	length, known := 0, false
	for len(headers) > 0 {
		line, headers, _ = bytes.Cut(headers, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case len(name) == len("webhook-id") && bytes.EqualFold(name, []byte("webhook-id")):
			known = parseID(&n.id, string(value))
		case len(name) == len("webhook-attempt") && bytes.EqualFold(name, []byte("webhook-attempt")):
			n.attempt = number32(string(value))
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			var err error
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxRequest {
				return n, 0, false
			}
		}
	}
	size = head + 4 + length
	if len(b) >= size {
		n.sent = sentIn(b[head+4 : size])
	}
	return n, size, known
}

// sentIn reads the time at which the event was meant to be published out of the first parameter of a form.
func sentIn(form []byte) int64 {
	value, ok := bytes.CutPrefix(form, []byte(sentName))
	if !ok {
		return 0
	}
	value, _, _ = bytes.Cut(value, []byte("&"))
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// parseID reads a webhook-id: 32 hex digits.
func parseID(id *[16]byte, s string) bool {
	if len(s) != 2*len(id) {
		return false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return err == nil
}

func number32(s string) int32 {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}
