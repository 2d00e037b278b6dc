package dispatcher

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"bellhop/config"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/rule"
)

// received is a request as its receiver had it.
type received struct {
	header http.Header
	body   []byte
}

// TestSignaturesVerify sends what a rule file asks to be signed and has the reference library verify what arrives.
func TestSignaturesVerify(t *testing.T) {
	secret := func(b byte, n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, n))
	}
	secrets := map[string]string{"OLD": secret(1, 24), "NEW": secret(2, 64), "OTHER": secret(3, 32)}

	var seen []received
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, received{r.Header, body})
	}))
	defer server.Close()
	defs, problems := config.ParseRules([]rule.SourceFile{{Path: "rules.yaml", Text: `
rules:
  - name: r
    on: course.completed
    webhooks:
      - {name: one, endpoint: "` + server.URL + `", secret: "${NEW}"}
      - {name: two, endpoint: "` + server.URL + `", secret: ["${NEW}", "${OLD}"]}
      - {name: none, endpoint: "` + server.URL + `"}
`}})
	set, more := rule.Compile(defs, rule.Options{
		Defaults: rule.Defaults{Timeout: 10 * time.Second, Encoding: "normalize"},
		Secret:   func(name string, _ bool) (string, error) { return secrets[name], nil },
	})
	if set == nil {
		t.Fatalf("the rules do not compile: %v %v", problems, more)
	}
	client := endpoint.NewClient(endpoint.ClientOptions{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer client.Close()

	verifies := func(r received, name string) error {
		verifier, err := standardwebhooks.NewWebhook(secrets[name])
		if err != nil {
			t.Fatal(err)
		}
		return verifier.Verify(r.body, r.header)
	}
	for _, tt := range []struct {
		webhook    string
		signatures int
		by, notBy  []string
	}{
		{"one", 1, []string{"NEW"}, []string{"OLD", "OTHER"}},
		{"two", 2, []string{"NEW", "OLD"}, []string{"OTHER"}},
		{"none", 0, nil, []string{"NEW", "OLD", "OTHER"}},
	} {
		hook := set.Find("r", tt.webhook)
		for attempt, body := range []string{"", "student=Ada+Lovelace&course=%C3%89", strings.Repeat("a=1&", 30_000)} {
			seen = nil
			headers := Headers(hook, "bellhop/test", "6542cfa7f9e18b4be62dd7ed0c75ebd9", attempt+1, time.Now().Unix(), []byte(body), false)
			if res := client.Post(t.Context(), endpoint.Request{URL: hook.URL, Headers: headers, Body: []byte(body)}); res.Err != nil {
				t.Fatalf("Post for %s: %v", tt.webhook, res.Err)
			}
			got := seen[0]
			if n := len(strings.Fields(got.header.Get("webhook-signature"))); n != tt.signatures {
				t.Errorf("%s is signed %d times, want %d", tt.webhook, n, tt.signatures)
			}
			for _, name := range tt.by {
				if err := verifies(got, name); err != nil {
					t.Errorf("%s does not verify by %s: %v", tt.webhook, name, err)
				}
				for what, change := range map[string]func(*received){
					"body":      func(r *received) { r.body = append(bytes.Clone(r.body), 'x') },
					"id":        func(r *received) { r.header.Set("webhook-id", "another") },
					"timestamp": func(r *received) { r.header.Set("webhook-timestamp", "1") },
				} {
					changed := received{got.header.Clone(), got.body}
					change(&changed)
					if verifies(changed, name) == nil {
						t.Errorf("%s verifies with another %s", tt.webhook, what)
					}
				}
			}
			for _, name := range tt.notBy {
				if verifies(got, name) == nil {
					t.Errorf("%s verifies by %s, which did not sign it", tt.webhook, name)
				}
			}
		}
	}
}
