package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
)

const (
	socketName     = "bellhop.sock"   // in data_dir
	requestTimeout = 30 * time.Second // one question to a daemon, answer included
	maxAnswer      = 256 << 20        // bytes of an answer that are read: a version may hold 64 MiB files
)

// errNoDaemon says that nothing listens where a daemon would.
var errNoDaemon = errors.New("no daemon is running")

// client asks a daemon's API, over its Unix socket or at a console's address.
type client struct {
	http  *http.Client
	base  string // scheme and host, no trailing slash
	token string
	where string // for errors: the socket's path or the address
}

// dialFlags are the flags of a command that asks a daemon.
type dialFlags struct{ address, token string }

// register adds --address and --token.
func (d *dialFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.address, "address", "", "ask the console at `URL` rather than the Unix socket in data_dir")
	cmd.Flags().StringVar(&d.token, "token", "", "the console's `TOKEN` (default the configuration's console.token)")
}

// client makes the client that the flags and settings describe. It connects to nothing yet.
func (d *dialFlags) client(s *config.Settings) (*client, error) {
	if d.address == "" {
		return socketClient(filepath.Join(s.DataDir, socketName)), nil
	}
	text := d.address
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		const next = "--address http://127.0.0.1:8420"
		if strings.Contains(d.address, "@") {
			// It may hold a password, which is not for a terminal or a script's log.
			return nil, withHint(usagef("--address is an http or https address without user information: a token goes in --token"), next)
		}
		return nil, withHint(usagef("--address %q is no http or https address", d.address), next)
	}
	token := d.token
	if token == "" {
		token = cmp.Or(s.Console.Token, s.Console.ReadToken)
	}
	return &client{
		http:  &http.Client{Timeout: requestTimeout, CheckRedirect: refuseRedirect},
		base:  u.Scheme + "://" + u.Host + strings.TrimRight(u.Path, "/"),
		token: token,
		where: u.Scheme + "://" + u.Host,
	}, nil
}

// refuseRedirect keeps the token with the host it is meant for.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// socketClient asks over a Unix socket.
func socketClient(path string) *client {
	return &client{
		http: &http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return console.DialSocket(ctx, path)
				},
			},
		},
		base:  "http://localhost",
		where: path,
	}
}

// get asks for path and decodes the answer.
func (c *client) get(ctx context.Context, path string, answer any) error {
	return c.do(ctx, http.MethodGet, path, nil, answer)
}

// post sends body to path and decodes the answer.
func (c *client) post(ctx context.Context, path string, body, answer any) error {
	return c.do(ctx, http.MethodPost, path, body, answer)
}

func (c *client) do(ctx context.Context, method, path string, body, answer any) error {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.where, err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		req.Header.Set(api.WriteHeader, "1")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.where, err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("the answer of %s is over %d MiB", c.where, maxAnswer>>20)
	}
	if resp.StatusCode/100 != 2 {
		return c.refused(resp, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s does not answer as a Bellhop does: %w", c.where, err)
	}
	return nil
}

// unreachable tells a daemon that is not there from one that does not answer.
func (c *client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL says nothing to whoever typed a command
	}
	// EINVAL is a path that is too long for a socket, which no daemon can listen at either.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL) {
		return withHint(fmt.Errorf("%w at %s", errNoDaemon, c.where), "bellhop serve")
	}
	if errors.Is(err, fs.ErrPermission) {
		return withHint(fmt.Errorf("ask the daemon at %s: %w", c.where, err), "the same as the user that runs the daemon, or --address URL --token T")
	}
	return fmt.Errorf("ask the daemon at %s: %w", c.where, err)
}

// answerError is a daemon's refusal.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string { return e.text }

// refused reads an error's body (RFC 9457), or makes do with the status.
func (c *client) refused(resp *http.Response, body []byte) error {
	e := &answerError{status: resp.StatusCode, text: fmt.Sprintf("%s answers %s", c.where, resp.Status)}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p api.Problem
	if (media == api.ProblemType || media == "application/json") && json.Unmarshal(body, &p) == nil {
		switch {
		case p.Detail != "":
			e.text = p.Detail
		case p.Title != "":
			e.text = p.Title
		}
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return withHint(e, "--token TOKEN, the console.token of the daemon's configuration")
	}
	return e
}

// probe asks whether anybody listens, without asking anything else.
func (c *client) probe(ctx context.Context) error {
	t, ok := c.http.Transport.(*http.Transport)
	if !ok || t.DialContext == nil {
		return nil // a console's address: the first question tells
	}
	conn, err := t.DialContext(ctx, "unix", c.where)
	if err != nil {
		return c.unreachable(err)
	}
	return conn.Close()
}
