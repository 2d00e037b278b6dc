package endpoint

import (
	"net/url"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const h = "https://crm.example.com"
	tests := []struct {
		why  string
		in   string
		enc  Encoding
		want string
	}{
		{"a legal URL stays", h + "/hooks/a-b_c.d~e?x=1&y=2", Normalize, h + "/hooks/a-b_c.d~e?x=1&y=2"},
		{"the zero encoding is normalize", h + "/a b", "", h + "/a%20b"},
		{"a space in the path", h + "/hooks/course done", Normalize, h + "/hooks/course%20done"},
		{"an encoded space stays", h + "/hooks/course%20done", Normalize, h + "/hooks/course%20done"},
		{"a space in the query is no plus", h + "/?q=a b", Normalize, h + "/?q=a%20b"},
		{"a plus stays", h + "/a+b?c+d", Normalize, h + "/a+b?c+d"},
		{"hex in upper case", h + "/%2f%c3%a9?%2f%3d", Normalize, h + "/%2F%C3%A9?%2F%3D"},
		{"unreserved characters decoded", h + "/%7Euser/%41%2d%2E%5f?%7e=%31", Normalize, h + "/~user/A-._?~=1"},
		{"reserved escapes stay", h + "/a%2Fb%3Fc%23d%25e%26?f%26g%3Dh%2B", Normalize, h + "/a%2Fb%3Fc%23d%25e%26?f%26g%3Dh%2B"},
		{"a stray percent", h + "/100%?p=5%&q=%zz%4", Normalize, h + "/100%25?p=5%25&q=%25zz%254"},
		{"a stray percent before an escape", h + "/%%41%4%31", Normalize, h + "/%25A%2541"},
		{"text outside ASCII", h + "/curs/învățare?n=é", Normalize, h + "/curs/%C3%AEnv%C4%83%C8%9Bare?n=%C3%A9"},
		{"escapes that are no UTF-8 stay", h + "/%FF%fe", Normalize, h + "/%FF%FE"},
		{"what is illegal in the path", h + "/[]|^{}\"<>\\`", Normalize, h + "/%5B%5D%7C%5E%7B%7D%22%3C%3E%5C%60"},
		{"what is illegal in the query", h + "/?[]|^{}\"<>\\`", Normalize, h + "/?%5B%5D%7C%5E%7B%7D%22%3C%3E%5C%60"},
		{"what is legal in the path", h + "/!$&'()*+,;=:@/", Normalize, h + "/!$&'()*+,;=:@/"},
		{"what is legal in the query", h + "/?!$&'()*+,;=:@/?", Normalize, h + "/?!$&'()*+,;=:@/?"},
		{"dot segments stay", h + "/a/../b/./c/%2e%2E/", Normalize, h + "/a/../b/./c/../"},
		{"double slashes stay", h + "//a//b/", Normalize, h + "//a//b/"},
		{"an empty path", h, Normalize, h + "/"},
		{"an empty path before a query", h + "?x", Normalize, h + "/?x"},
		{"an empty query stays", h + "/a?", Normalize, h + "/a?"},
		{"scheme and host in lower case", "HTTPS://CRM.Example.COM/A", Normalize, h + "/A"},
		{"ports stay", "http://h:80/", Normalize, "http://h:80/"},
		{"ports stay as they are", "https://h:443?x", Normalize, "https://h:443/?x"},
		{"a port with zeros stays", "http://h:0080/", Normalize, "http://h:0080/"},
		{"a colon without a port goes", "http://h:/a", Normalize, "http://h/a"},
		{"a host outside ASCII", "https://Bücher.example/ü", Normalize, "https://xn--bcher-kva.example/%C3%BC"},
		{"a sharp s stays one", "https://straße.example/", Normalize, "https://xn--strae-oqa.example/"},
		{"punycode stays", "https://XN--bcher-kva.example/", Normalize, "https://xn--bcher-kva.example/"},
		{"an escaped host outside ASCII", "https://b%C3%BCcher.example/", Normalize, "https://xn--bcher-kva.example/"},
		{"an escaped host", "https://ex%61mple.COM/", Normalize, "https://example.com/"},
		{"full-width digits and dots", "http://１２７。0.0.1/", Normalize, "http://127.0.0.1/"},
		{"an underscore in a host", "http://my_service:8080/", Normalize, "http://my_service:8080/"},
		{"a dot at the end of a host", "http://localhost./", Normalize, "http://localhost./"},
		{"a shorthand address stays", "http://0x7F.1/", Normalize, "http://0x7f.1/"},
		{"an IPv6 address", "http://[2001:DB8::1]:8080/a", Normalize, "http://[2001:db8::1]:8080/a"},
		{"an at sign in the path", h + "/@me?a@b", Normalize, h + "/@me?a@b"},
		{"an asterisk", h + "/*", Normalize, h + "/*"},

		{"literal: a percent sign", h + "/100%/%20?a=%41", Literal, h + "/100%25/%2520?a=%2541"},
		{"literal: a space", h + "/course done", Literal, h + "/course%20done"},
		{"literal: outside ASCII", "https://bücher.example/é", Literal, "https://xn--bcher-kva.example/%C3%A9"},
		{"literal: a plus stays", h + "/a+b?c+d", Literal, h + "/a+b?c+d"},
		{"literal: delimiters stay delimiters", h + "/a/b?c=d&e=f?g", Literal, h + "/a/b?c=d&e=f?g"},
		{"literal: an empty path", h + "?%", Literal, h + "/?%25"},

		{"256 characters", h + "/" + strings.Repeat("é", 256-len(h)-1), Normalize, h + "/" + strings.Repeat("%C3%A9", 256-len(h)-1)},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			u, err := Parse(tt.in, tt.enc)
			if err != nil {
				t.Fatalf("Parse(%q, %s) = error %q, want %q", tt.in, tt.enc, err, tt.want)
			}
			if u.Text != tt.want {
				t.Errorf("Parse(%q, %s) = %q, want %q", tt.in, tt.enc, u.Text, tt.want)
			}
			checkURL(t, u)
		})
	}
}

// checkURL checks what holds of every parsed URL.
func checkURL(t *testing.T, u URL) {
	t.Helper()
	_, rest, _ := strings.Cut(u.Text, "://")
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		t.Fatalf("%q has no path", u.Text)
	}
	if got := u.Wire.RequestURI(); got != rest[i:] {
		t.Errorf("net/http would send %q for %q", got, u.Text)
	}
	if u.Wire.Host != rest[:i] {
		t.Errorf("net/http would call %q for %q", u.Wire.Host, u.Text)
	}
	if got := u.Wire.String(); got != u.Text {
		t.Errorf("Wire.String() = %q, want the text %q", got, u.Text)
	}
	for i := range len(u.Text) {
		c := u.Text[i]
		if !queryLegal.has(c) && c != '%' && c != '[' && c != ']' {
			t.Errorf("%q has the illegal byte %q", u.Text, c)
		}
		if _, ok := unhex(u.Text[i:]); c == '%' && !ok {
			t.Errorf("%q has a stray percent sign at %d", u.Text, i)
		}
	}
	again, err := ParseResolved(u.Text, Normalize)
	if err != nil {
		t.Fatalf("encoding %q again = error %q", u.Text, err)
	}
	if again.Text != u.Text || again.Lane != u.Lane {
		t.Errorf("encoding %q again = %q", u.Text, again.Text)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		why  string
		in   string
		enc  Encoding
		want string
	}{
		{"257 characters", "https://h/" + strings.Repeat("a", 247), Normalize, "257 characters, at most 256"},
		{"nothing", "", Normalize, "empty: an endpoint begins with https:// or http://"},
		{"no scheme", "crm.example.com/hook", Normalize, "no scheme: an endpoint begins with https:// or http://"},
		{"no scheme but a port", "crm.example.com:80/hook", Normalize, "no scheme"},
		{"no authority", "https:/crm.example.com", Normalize, "no scheme"},
		{"a scheme of nothing", "://crm.example.com", Normalize, "no scheme"},
		{"a URL in a query", "crm.example.com/?next=http://a", Normalize, "no scheme"},
		{"backslashes", `https:\\crm.example.com\`, Normalize, "no scheme"},
		{"another scheme", "ftp://h/", Normalize, `scheme "ftp" is not supported: use https or http`},
		{"no host", "https:///hook", Normalize, "no host"},
		{"no host but a port", "https://:8080/", Normalize, "no host"},
		{"no host but a query", "https://?x", Normalize, "no host"},
		{"user information", "https://user:pass@h/", Normalize, "user information in an endpoint is not sent: set an Authorization header under headers"},
		{"empty user information", "https://@h/", Normalize, "user information"},
		{"user information under literal", "https://u@h/", Literal, "user information"},
		{"an escaped at sign", "https://user%40h/", Normalize, `host "user%40h" has the character '@', which no host name has`},
		{"a fragment", "https://h/a#b", Normalize, "a fragment (#...) is not sent: remove it, or write %23"},
		{"an empty fragment", "https://h/a#", Normalize, "a fragment"},
		{"a fragment under literal", "https://h/a#b", Literal, "a fragment (#...) is not sent: remove it"},
		{"a fragment in the host", "https://h#@evil/", Normalize, "a fragment"},
		{"a line feed", "https://h/a\nb", Normalize, "control character U+000A at character 12"},
		{"a tab", "https://h/\t", Normalize, "control character U+0009"},
		{"a NUL", "https://h/\x00", Normalize, "control character U+0000"},
		{"DEL", "https://h/é\x7f", Normalize, "control character U+007F at character 12"},
		{"C1", "https://h/\u0085", Normalize, "control character U+0085"},
		{"a space before", " https://h/", Normalize, "begins with a space"},
		{"a space after", "https://h/ ", Normalize, "ends with a space"},
		{"invalid UTF-8", "https://h/\xff", Normalize, "not valid UTF-8"},
		{"invalid UTF-8 escaped in the host", "https://%FF.example/", Normalize, `host "%FF.example" is not valid UTF-8 when decoded`},
		{"a space in the host", "https://a b/", Normalize, `host "a b" has the character ' ', which no host name has`},
		{"an escape in the host under literal", "https://ex%61mple/", Literal, `has the character '%'`},
		{"a stray percent in the host", "https://100%/", Normalize, `has the character '%'`},
		{"an escaped slash in the host", "https://a%2Fb/", Normalize, `has the character '/'`},
		{"a backslash in the host", `https://good.example\@evil.example/`, Normalize, "user information"},
		{"a backslash after the host", `https://good.example\a`, Normalize, `has the character '\\'`},
		{"an empty label", "https://a..b/", Normalize, "has an empty label"},
		{"a dot alone", "https://./", Normalize, "has an empty label"},
		{"a long label", "https://" + strings.Repeat("a", 64) + ".example/", Normalize, "has a label of 64 characters, at most 63"},
		{"a host IDNA does not know", "https://a\u200db.example/", Normalize, "cannot be written in ASCII (IDNA)"},
		{"a port of letters", "https://h:https/", Normalize, `port "https" is not a number from 1 to 65535`},
		{"port 0", "https://h:0/", Normalize, `port "0" is not a number`},
		{"port 65536", "https://h:65536/", Normalize, `port "65536" is not a number`},
		{"a signed port", "https://h:+80/", Normalize, `port "+80" is not a number`},
		{"two ports", "https://h:80:81/", Normalize, "has more than one colon"},
		{"IPv6 without brackets", "https://2001:db8::1/", Normalize, `host "2001:db8::1" is an IPv6 address: put it in brackets`},
		{"an open bracket", "https://[::1/", Normalize, "has no closing bracket"},
		{"more after a bracket", "https://[::1]a/", Normalize, "is followed by more than a port"},
		{"IPv4 in brackets", "https://[127.0.0.1]/", Normalize, "is not an IPv6 address"},
		{"nothing in brackets", "https://[]/", Normalize, "is not an IPv6 address"},
		{"a later IP version", "https://[v7.a]/", Normalize, "is not an IPv6 address"},
		{"a zone", "https://[fe80::1%25eth0]/", Normalize, "has a zone"},
		{"an unknown encoding", "https://h/", "base64", `unknown encoding "base64": normalize or literal`},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			u, err := Parse(tt.in, tt.enc)
			if err == nil {
				t.Fatalf("Parse(%q, %s) = %q, want an error with %q", tt.in, tt.enc, u.Text, tt.want)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%q, %s) = error %q, want one with %q", tt.in, tt.enc, err, tt.want)
			}
		})
	}
}

func TestParseResolvedKeepsSecrets(t *testing.T) {
	for _, in := range []string{
		"hunter2://h/", "https://hunter2 x/", "https://hunter2:x/", "https://h:hunter2/", "https://[hunter2]/", "https://[hunter2",
		"https://[::1]hunter2/", "https://hunter2%FF/", "https://hunter2..x/", "https://hunter2:1:2/", "https://" + strings.Repeat("hunter2", 40) + "/",
		"https://hunter2\u200dx/", "https://hunter2@h/", "https://h/#hunter2", "https://hunter2" + strings.Repeat(".a", 200) + "/", "https://[fe80::1%hunter2]/",
	} {
		_, err := ParseResolved(in, Normalize)
		if err == nil {
			t.Errorf("ParseResolved(%q) finds no error", in)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("ParseResolved(%q) = error %q, which holds what may be a secret", in, err)
		}
	}
}

func TestParseResolvedHasNoLimit(t *testing.T) {
	u, err := ParseResolved("https://h/"+strings.Repeat("a", 5000), Normalize)
	if err != nil || len(u.Text) != 5010 {
		t.Errorf("ParseResolved of 5,010 characters = %d characters, error %v", len(u.Text), err)
	}
}

func TestLane(t *testing.T) {
	for in, want := range map[string]string{
		"https://CRM.example.com/a?b":       "https://crm.example.com:443",
		"http://h":                          "http://h:80",
		"http://h:80/":                      "http://h:80",
		"http://h:0080/":                    "http://h:80",
		"http://h:/":                        "http://h:80",
		"https://h:8443/":                   "https://h:8443",
		"https://[2001:DB8:0::1]/":          "https://[2001:db8::1]:443",
		"https://[2001:db8:0:0:0:0:0:1]:5/": "https://[2001:db8::1]:5",
		"https://bücher.example/":           "https://xn--bcher-kva.example:443",
	} {
		u, err := Parse(in, Normalize)
		if err != nil || u.Lane != want {
			t.Errorf("the lane of %q = %q (error %v), want %q", in, u.Lane, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"https://crm.example.com/hooks/course done?x=1", "http://h:80?%", "http://[::1]:1/%7e%2f%zz", "http://1.2/é?é",
		"http://b%C3%BCcher.example", "http://xn--a/%%41", "HTTP://A。b/", "http://h//../?a=b&c=%26?", "http://h:/?",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// Under literal, nothing is decoded: decoding the path gives back just what was written.
		if u, err := ParseResolved(s, Literal); err == nil {
			checkURL(t, u)
			_, rest, _ := strings.Cut(s, "://")
			path := ""
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				path, _, _ = strings.Cut(rest[i:], "?")
			}
			if path == "" {
				path = "/"
			}
			if u.Wire.Path != path {
				t.Errorf("literal %q asks for the path %q, want %q", s, u.Wire.Path, path)
			}
		}
		u, err := ParseResolved(s, Normalize)
		if err != nil {
			return
		}
		checkURL(t, u)
		legal, err := url.Parse(s)
		if err != nil {
			return
		}
		// What net/url already understands keeps its meaning, segment by segment and key by key.
		// Of a path that is not quite legal EscapedPath loses which slashes were encoded; RawPath keeps them.
		path := legal.RawPath
		if path == "" {
			path = legal.EscapedPath()
		}
		before, after := strings.Split(path, "/"), strings.Split(u.Wire.EscapedPath(), "/")
		if path == "" {
			before = []string{"", ""}
		}
		if len(before) != len(after) {
			t.Fatalf("%q has %d path segments, encoded %d", s, len(before), len(after))
		}
		for i := range before {
			a, _ := url.PathUnescape(before[i])
			b, _ := url.PathUnescape(after[i])
			if a != b {
				t.Errorf("%q has the path segment %q, encoded %q", s, a, b)
			}
		}
		q1, err1 := url.ParseQuery(legal.RawQuery)
		q2, err2 := url.ParseQuery(u.Wire.RawQuery)
		if err1 == nil && (err2 != nil || q1.Encode() != q2.Encode()) {
			t.Errorf("%q has the query %v, encoded %v", s, q1, q2)
		}
	})
}
