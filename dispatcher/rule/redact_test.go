package rule

import "testing"

func TestRedact(t *testing.T) {
	w := &Webhook{}
	w.conceal(secretText{
		resolved: true, refs: []reference{{text: "${TOK}"}, {text: "${file:p}"}, {text: "${S}"}}, values: []string{"S3Ct/en +x", "path secret", "1"},
	})
	for _, tt := range []struct {
		in   string
		cut  bool
		want string
	}{
		{"Bearer S3Ct/en +x!", false, "Bearer ${TOK}!"}, {"?k=S3Ct%2Fen%20%2Bx&", false, "?k=${TOK}&"}, {"k=S3Ct%2fen%20%2bx", false, "k=${TOK}"},
		{"k=S3Ct%2Fen+%2Bx", false, "k=${TOK}"}, {"path%20secret path secret", false, "${file:p} ${file:p}"}, {"1 + 1", false, "1 + 1"},
		{"x=path sec", true, "x="}, {"x=path sec", false, "x=path sec"}, {"", true, ""},
	} {
		if got := w.Redact(tt.in, tt.cut); got != tt.want {
			t.Errorf("Redact(%q, %v) = %q, want %q", tt.in, tt.cut, got, tt.want)
		}
	}
}
