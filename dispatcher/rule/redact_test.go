package rule

import (
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestRedact(t *testing.T) {
	w := &Webhook{}
	w.conceal(secretText{
		resolved: true,
		refs:     []reference{{text: "${TOK}"}, {text: "${file:p}"}, {text: "${S}"}, {text: "${ODD}"}, {text: "${PART}"}, {text: "${SIGNS}"}, {text: "${PCT}"}, {text: "${LOW}"}},
		values:   []string{"S3Ct/en +x", "path secret", "1", `o"d<d>&'\é𝄞`, "path", `"/\+%`, "a%41b", "low%2fcase%3d"},
	}, whole)
	for _, tt := range []struct {
		in   string
		cut  bool
		want string
	}{
		{"Bearer S3Ct/en +x!", false, "Bearer ${TOK}!"}, {"?k=S3Ct%2Fen%20%2Bx&", false, "?k=${TOK}&"}, {"k=S3Ct%2fen%20%2bx", false, "k=${TOK}"},
		{"k=S3Ct%2Fen+%2Bx", false, "k=${TOK}"}, {"path%20secret path secret", false, "${file:p} ${file:p}"}, {"1 + 1", false, "1 + 1"},
		{"x=path sec", true, "x="}, {"x=path sec", false, "x=${PART} sec"}, {"", true, ""}, {"no escape at its end &", false, "no escape at its end &"},
		{"in a URL S3Ct/en%20+x, all encoded %53%33%43%74%2f%65%6E%20%2b%78", false, "in a URL ${TOK}, all encoded ${TOK}"},

		{`as it is: o"d<d>&'\é𝄞.`, false, "as it is: ${ODD}."},
		{`{"a":"o\"d<d>&'\\é𝄞","b":"S3Ct\/en +x"}`, false, `{"a":"${ODD}","b":"${TOK}"}`},
		{`{"a":"o\u0022d\u003cd\u003E\u0026\u0027\u005c\u00e9\ud834\udd1e"}`, false, `{"a":"${ODD}"}`},
		{`{"a":"{\"b\":\"o\\\"d\\u003cd>&'\\\\é𝄞\"}"}`, false, `{"a":"{\"b\":\"${ODD}\"}"}`},
		{`<b>o&quot;d&lt;d&gt;&amp;&#39;\é𝄞</b>`, false, "<b>${ODD}</b>"}, {`<b>o&#34;d&lt;d>&amp;&#x27;\&eacute;𝄞</b>`, false, "<b>${ODD}</b>"},
		{`o%22d%3Cd%3E%26%27%5C%C3%A9%F0%9D%84%9E`, false, "${ODD}"}, {`o%22d%3Cd%3E&'%5C%C3%A9𝄞`, false, "${ODD}"},
		{`{"a":"o%22d\u003cd>&'%5C%C3%A9𝄞"}`, false, `{"a":"${ODD}"}`},
		{`signs alone: "/\+% and %22%2F%5C%2B%25`, false, "signs alone: ${SIGNS} and ${SIGNS}"},
		{"a%41b, a%2541b", false, "${PCT}, ${PCT}"},
		// As an endpoint's normal form spells them, and as a server reads that.
		{"/aAb /p/low%2Fcase%3D low/case=", false, "/${PCT} /p/${LOW} ${LOW}"},

		{"cut in an escape: S3Ct%2", true, "cut in an escape: "}, {`cut in an escape: o"d\u00`, true, `cut in an escape: `}, {`cut: S3Ct\`, true, `cut: `},
		{"cut in a reference: o&quot;d&l", true, "cut in a reference: "}, {"cut & whole", true, "cut & whole"}, {"cut at S3", true, "cut at S3"},
		{strings.Repeat("S3Ct/en +x", 3), true, "${TOK}${TOK}${TOK}"}, {"S3Ct/S3Ct/en +x", false, "S3Ct/${TOK}"},
	} {
		if got := w.Redact(tt.in, tt.cut); got != tt.want {
			t.Errorf("Redact(%q, %v) = %q, want %q", tt.in, tt.cut, got, tt.want)
		}
	}
}

// whole has no parts.
func whole(string) []string { return nil }

// FuzzRedact holds what is left of texts with a secret in them against the secret, in every spelling.
func FuzzRedact(f *testing.F) {
	f.Add("s3cret", "a", "b", uint8(0))
	f.Add(`o"d<d>&'\é`, "&", "%2", uint8(3))
	f.Add("a%41b", `\`, "+", uint8(1))
	f.Fuzz(func(t *testing.T, secret, before, after string, how uint8) {
		if len(secret) < shortSecret || !utf8.ValidString(secret) || !utf8.ValidString(before) || !utf8.ValidString(after) || strings.ContainsFunc(secret, unicode.IsControl) || strings.Contains("${X}", secret) {
			t.Skip()
		}
		w := &Webhook{}
		w.conceal(secretText{resolved: true, refs: []reference{{text: "${X}"}}, values: []string{secret}}, whole)
		text, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		spelling := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), string(text[1 : len(text)-1]), html.EscapeString(secret)}[how%5]
		// What stands around must not join in.
		in := before + "\n" + spelling + "\n" + after
		if got := w.Redact(in, false); strings.Contains(got, "\n"+spelling+"\n") || !strings.Contains(got, "${X}") {
			t.Errorf("Redact(%q) = %q, which shows %q as %q", in, got, secret, spelling)
		}
		w.Redact(in, true)
	})
}
