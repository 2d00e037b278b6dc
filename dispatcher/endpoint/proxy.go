package endpoint

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
)

// proxyError is a failure on the proxy's side of a connection. It may pass, whatever it is: the endpoint was not reached.
type proxyError struct{ err error }

func (e *proxyError) Error() string { return "proxy: " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// useProxy sends everything through a proxy. Its own address is the operator's choice and needs no leave; the endpoints'
// are checked before each attempt, since the transport then dials nothing but the proxy.
func (d dialer) useProxy(t *http.Transport, proxy *url.URL) {
	t.Proxy = http.ProxyURL(proxy)
	t.TLSClientConfig = d.tls // for endpoints behind the proxy, whose handshake is the transport's own
	t.TLSHandshakeTimeout = handshakeTimeout
	t.DialContext = d.dialProxy
	t.DialTLSContext = nil
	if proxy.Scheme == "https" {
		t.DialTLSContext = d.dialProxyTLS
	}
	t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return &proxyError{&statusError{resp.StatusCode}}
		}
		return nil
	}
}

func (d dialer) dialProxy(ctx context.Context, _, addr string) (net.Conn, error) {
	ctx, cancel := untilDeadline(ctx)
	defer cancel()
	conn, err := d.connect(ctx, addr, d.guard.resolve)
	if err != nil && !errors.Is(err, errAttemptTimeout) {
		return nil, &proxyError{err}
	}
	return conn, err
}

func (d dialer) dialProxyTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.dialProxy(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := untilDeadline(ctx)
	defer cancel()
	config := d.tls.Clone()
	config.NextProtos = nil // the transport speaks HTTP/1.1 with proxies
	secure, err := d.handshake(ctx, conn, addr, config)
	if err != nil && !errors.Is(err, errAttemptTimeout) {
		return nil, &proxyError{err}
	}
	return secure, err
}

// statusError is a proxy's answer to CONNECT.
type statusError struct{ code int }

func (e *statusError) Error() string { return "CONNECT was answered with " + statusText(e.code) }
