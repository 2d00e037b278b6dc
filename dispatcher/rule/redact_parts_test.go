package rule_test

import (
	"testing"

	"bellhop/dispatcher/rule"
)

// TestRedactParts: a receiver gets a secret in pieces, and names those.
func TestRedactParts(t *testing.T) {
	for name, tt := range map[string]struct {
		kind     string // where the secret stands
		text     string // around it
		secret   string
		in, want string
	}{
		"a whole URL":               {"endpoint", "${S}", "http://Hooks.example.com/services/T00/B00/XXXXtokenXXXX", "Cannot POST /services/T00/B00/XXXXtokenXXXX at hooks.example.com", "Cannot POST ${S} at ${S}"},
		"its last segment":          {"endpoint", "${S}", "https://hooks.example.com/services/T00/B00/XXXXtokenXXXX", "no such hook: XXXXtokenXXXX", "no such hook: ${S}"},
		"its path without a query":  {"endpoint", "${S}", "https://h.example.com/in/T0?k=1", "POST /in/T0 is gone", "POST ${S} is gone"},
		"a query's value":           {"endpoint", "${S}", "https://h.example.com/in?k=token77&l=x", "key token77 is unknown", "key ${S} is unknown"},
		"a URL's beginning":         {"endpoint", "${S}/x", "http://127.0.0.1:8080/services/BASEtoken", "Cannot POST /services/BASEtoken/x host=127.0.0.1:8080", "Cannot POST ${S}/x host=${S}"},
		"a path":                    {"endpoint", "https://h.example.com/in/${S}", "T00/B00/XXXXtoken", "hook XXXXtoken", "hook ${S}"},
		"a host's case":             {"endpoint", "http://${S}.example.com/x", "MyTenant", "host mytenant.example.com", "host ${S}.example.com"},
		"a host beyond ASCII":       {"endpoint", "http://${S}.example.com:8080/x", "münchen", "host xn--mnchen-3ya.example.com:8080", "host ${S}.example.com:8080"},
		"an escape in a segment":    {"endpoint", "https://h.example.com/${S}", "a/t%6fken%c3%a9", "no tokené, no token%C3%A9", "no ${S}, no ${S}"},
		"a query read as a form":    {"endpoint", "https://h.example.com/?k=${S}", "Ab+Cd/Eftoken==", `{"k":"Ab Cd/Eftoken=="}`, `{"k":"${S}"}`},
		"short parts say nothing":   {"endpoint", "${S}", "https://h.example.com/api/v1/token77", "api v1 is old", "api v1 is old"},
		"a scheme's credentials":    {"header", "${S}", "Bearer tok9876", "token tok9876 is unknown, Bearer needed", "token ${S} is unknown, Bearer needed"},
		"a header without a scheme": {"header", "${S}", "tok9876", "tok9876!", "${S}!"},
		"a signing secret":          {"signing", "${S}", "whsec_bmV3LXMzY3JldC1uZXctczNjcmV0", "not bmV3LXMzY3JldC1uZXctczNjcmV0", "not ${S}"},
	} {
		endpoint, more := "https://other.example.com/", ""
		switch tt.kind {
		case "endpoint":
			endpoint = tt.text
		case "header":
			more = ", headers: {Authorization: \"" + tt.text + "\"}"
		case "signing":
			more = ", secret: \"" + tt.text + "\""
		}
		text := "rules: [{name: r, on: course.completed, webhooks: [{endpoint: \"" + endpoint + "\"" + more + "}]}]"
		set, problems := rule.Compile(definitions(t, text), rule.Options{Defaults: defaults, Secret: vault(map[string]string{"S": tt.secret})})
		if set == nil {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		if got := set.Rules[0].Webhooks[0].Redact(tt.in, false); got != tt.want {
			t.Errorf("%s: Redact(%q) = %q, want %q", name, tt.in, got, tt.want)
		}
	}
}
