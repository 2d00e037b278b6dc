package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

	"bellhop/dispatcher/delivery"
)

// maxMessage bounds an error's text: certificates can name thousands of hosts.
const maxMessage = 300

var errMalformed = errors.New("malformed HTTP response")

// failure knows what an error is judged by.
type failure struct {
	timeout time.Duration
	quiet   bool // the message names neither host nor address
}

// classify names why no response came. ctx is the attempt's, with its deadline.
func (f failure) classify(ctx context.Context, err error) *delivery.Error {
	kind, message := f.kind(ctx, err)
	return &delivery.Error{Kind: kind, Message: plain(message)}
}

func (f failure) kind(ctx context.Context, err error) (delivery.Kind, string) {
	if blocked, ok := errors.AsType[*blockedError](err); ok {
		if f.quiet {
			return delivery.KindBlocked, "the address " + blocked.text()
		}
		return delivery.KindBlocked, blocked.Error()
	}
	// The cause tells which came first, the attempt's deadline or the caller's cancellation.
	if errors.Is(err, errAttemptTimeout) || errors.Is(context.Cause(ctx), errAttemptTimeout) {
		return delivery.KindTimeout, "no response within " + f.timeout.String()
	}
	if ctx.Err() != nil {
		return delivery.KindCancelled, "the attempt was cancelled"
	}
	if _, ok := errors.AsType[*proxyError](err); ok || proxyOp(err) {
		return delivery.KindNetwork, "proxy: " + f.networkText(err)
	}
	if text, ok := f.tlsText(err); ok {
		return delivery.KindTLS, text
	}
	return delivery.KindNetwork, f.networkText(err)
}

// proxyOp finds the marks that net/http leaves on what happened between it and a proxy.
func proxyOp(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks"))
}

// tlsText says what was wrong with a peer's certificate or handshake, if that is what was.
func (f failure) tlsText(err error) (string, bool) {
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if string(header.RecordHeader[:]) == "HTTP/" {
			return "the server speaks plain HTTP on this port: use http://, or the port of its HTTPS", true
		}
		return "the server does not speak TLS on this port", true
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return f.certificateText(cert.Err), true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		// An alert. These two speak of this connection and not of the parties: another may do better.
		if text := op.Err.Error(); text != "tls: bad record MAC" && text != "tls: internal error" {
			return op.Op + ": " + text, true
		}
		return "", false
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.HasPrefix(e.Error(), "tls: ") {
			return e.Error(), true
		}
	}
	return "", false
}

func (f failure) certificateText(err error) string {
	if !f.quiet {
		return err.Error()
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "x509: certificate is valid for other hosts"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "x509: certificate signed by unknown authority"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "x509: certificate has expired or is not yet valid"
	}
	return "x509: certificate not accepted"
}

// networkText says what happened on the way without a word of the request's path, query, headers or body, nor of what
// the server sent, which may repeat them.
func (f failure) networkText(err error) string {
	if dial, ok := errors.AsType[*dialError](err); ok {
		cause := networkCause(dial.err)
		if f.quiet {
			verb := strings.TrimSuffix(dial.verb, " to")
			if !ownWords(dial.err) {
				return verb + " was not possible"
			}
			return verb + ": " + cause
		}
		return dial.verb + " " + dial.what + ": " + cause
	}
	return networkCause(err)
}

// ownWords tells whether networkCause has words for an error that name no host.
func ownWords(err error) bool {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return true
	}
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func networkCause(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return "no such host"
		case dns.IsTimeout:
			return "the name server did not answer"
		}
		return dns.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.Error()
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "response headers exceeded"), strings.Contains(text, "header list size"):
		return "the response's headers exceed 64 KiB"
	case strings.Contains(text, "malformed"):
		return errMalformed.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed idle connection"):
		return "connection closed before a response"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "i/o timeout"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return networkCause(op.Err) // without the addresses
	}
	if i := strings.Index(text, "debug="); i >= 0 {
		text = strings.TrimRight(text[:i], " ,;") // an HTTP/2 server's own words
	}
	if i := strings.IndexByte(text, '"'); i >= 0 {
		text = strings.TrimRight(text[:i], " :") // a quotation, most likely of the server
	}
	return text
}

// plain makes a text fit for one line of a log.
func plain(text string) string {
	text = strings.ToValidUTF8(text, "�")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "..."
}
