package event_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"bellhop/dispatcher/event"
)

// mustParse reads JSON that is right.
func mustParse(t testing.TB, text string) event.Value {
	t.Helper()
	v, err := event.ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("ParseJSON(%s): %v", text, err)
	}
	return v
}

func TestParseJSONGivesBack(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                        `{}`,
		` [ ] `:                     `[]`,
		"\t\r\n {\"a\" : 1 } ":      `{"a":1}`,
		`null`:                      `null`,
		`[true,false,null]`:         `[true,false,null]`,
		`{"z":1,"a":2,"m":3}`:       `{"z":1,"a":2,"m":3}`,
		`[9007199254740993,12.50]`:  `[9007199254740993,12.50]`,
		`[-0,1E+2,1.0e-10,0.0]`:     `[-0,1E+2,1.0e-10,0.0]`,
		`[[],[[]],{"a":{}}]`:        `[[],[[]],{"a":{}}]`,
		`"a\/b\u002fc"`:             `"a/b/c"`,
		`"\"\\\b\f\n\r\t\u0000"`:    `"\"\\\b\f\n\r\t\u0000"`,
		`"\u001F\u007f<>&"`:         `"\u001f` + "\x7f" + `<>&"`,
		"\"\u2028\u2029\"":          "\"\u2028\u2029\"",
		`"\ud83d\ude00 \u20AC"`:     `"😀 €"`,
		`"\ud83d"`:                  `"` + "\ufffd" + `"`,
		`"\ude00\ud83d"`:            `"` + "\ufffd\ufffd" + `"`,
		`"\ud83d\u0041\ud83dx\n"`:   `"` + "\ufffdA\ufffdx" + `\n"`,
		`"\ud83d\ud83d\ude00"`:      `"` + "\ufffd😀" + `"`,
		"\"\uFEFF\"":                "\"\uFEFF\"",
		`{"a\u0062":"x\ty"}`:        `{"ab":"x\ty"}`,
		`{"":""}`:                   `{"":""}`,
		`{"a":1,"b":2,"a":3}`:       `{"a":3,"b":2}`,
		`{"a":1,"b":2,"\u0061":{}}`: `{"a":{},"b":2}`,

		// Fields that never pass.
		`{"password":1}`:                          `{}`,
		`{"a":1,"ssn":"078-05-1120","b":2}`:       `{"a":1,"b":2}`,
		`{"PassWord":{"a":[1]},"SSN":null,"x":1}`: `{"x":1}`,
		`{"p\u0061ssword":1,"\u0053sn":1,"x":1}`:  `{"x":1}`,
		`[[{"a":{"password":"x","b":1}}]]`:        `[[{"a":{"b":1}}]]`,
		`{"a":[{"ssn":1},{"Ssn":2,"c":3}]}`:       `{"a":[{},{"c":3}]}`,
		`{"paſſword":1,"ſsn":1}`:                  `{}`,
		`{"password2":1,"ss":2,"passwor":3}`:      `{"password2":1,"ss":2,"passwor":3}`,
		`"password"`:                              `"password"`,
	} {
		v, err := event.ParseJSON([]byte(text))
		if err != nil {
			t.Errorf("ParseJSON(%s): %v", text, err)
			continue
		}
		if got := string(v.AppendJSON(nil)); got != want {
			t.Errorf("ParseJSON(%s).AppendJSON = %s, want %s", text, got, want)
		}
	}
}

func TestParseJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "empty",
		" \n":                    "empty",
		"\ufeff{}":               "byte order mark at byte 0",
		"{\"a\":\"\xff\"}":       "invalid UTF-8 at byte 6",
		"\"\xed\xa0\x80\"":       "invalid UTF-8 at byte 1",
		"x":                      "expected a value at byte 0",
		"nul":                    "expected a value at byte 0",
		"True":                   "expected a value at byte 0",
		"NaN":                    "expected a value at byte 0",
		"\x00":                   "expected a value at byte 0",
		"{} {}":                  "expected nothing more at byte 3",
		"{}\x00":                 "expected nothing more at byte 2",
		"truex":                  "expected nothing more at byte 4",
		"{":                      "ends at byte 1, expected a quoted name",
		"{a:1}":                  "expected a quoted name at byte 1",
		"{'a':1}":                "expected a quoted name at byte 1",
		`{"a" 1}`:                "expected a colon at byte 5",
		`{"a"`:                   "ends at byte 4, expected a colon",
		`{"a":}`:                 "expected a value at byte 5",
		`{"a":1`:                 "ends at byte 6, expected a comma or a closing brace",
		`{"a":1 "b":2}`:          "expected a comma or a closing brace at byte 7",
		`{"a":1,}`:               "expected a quoted name at byte 7",
		`{,}`:                    "expected a quoted name at byte 1",
		`[1,]`:                   "expected a value at byte 3",
		`[1 2]`:                  "expected a comma or a closing bracket at byte 3",
		`[1}`:                    "expected a comma or a closing bracket at byte 2",
		`[`:                      "ends at byte 1, expected a value",
		`01`:                     "expected nothing more at byte 1",
		`-`:                      "ends at byte 1, expected a digit",
		`+1`:                     "expected a value at byte 0",
		`.5`:                     "expected a value at byte 0",
		`1.`:                     "ends at byte 2, expected a digit",
		`[1.e2]`:                 "expected a digit at byte 3",
		`1e`:                     "ends at byte 2, expected a digit",
		`1e+`:                    "ends at byte 3, expected a digit",
		`0x1`:                    "expected nothing more at byte 1",
		`"a`:                     "ends at byte 2, expected a closing quote",
		`"a\n`:                   "ends at byte 4, expected a closing quote",
		`"a\`:                    `ends at byte 3, expected one of "\/bfnrtu after a backslash`,
		`"a\x"`:                  `expected one of "\/bfnrtu after a backslash at byte 3`,
		`"\u12g4"`:               `expected four hex digits after \u at byte 5`,
		`"\ud83d\u12"`:           `expected four hex digits after \u at byte 11`,
		"\"a\nb\"":               "expected no bare control character in a string at byte 2",
		"\"\\ta\x01\"":           "expected no bare control character in a string at byte 4",
		`{"password":secret}`:    "expected a value at byte 12",
		`{"ssn":[1,"x"`:          "ends at byte 13, expected a comma or a closing bracket",
		`[1,//` + "\n2]":         "expected a value at byte 3",
		"{\"a\":1}\u00a0":        "expected nothing more at byte 7",
		strings.Repeat("[", 513): "more than 512 levels deep at byte 512",
	} {
		_, err := event.ParseJSON([]byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("ParseJSON(%.40q) gives error %v, want %s", text, err, want)
		}
	}
}

// TestParseJSONAgrees compares what is accepted with the standard library over all texts of a few tokens.
func TestParseJSONAgrees(t *testing.T) {
	tokens := []string{
		"{", "}", "[", "]", ":", ",", `"a"`, `"`, `\`, "0", "1", "-", ".", "e", "E", "+", "true", "null", " ", "\x00", "\x1f", "é", "\xff", `\u00`,
	}
	var text []byte
	var grow func(left int)
	grow = func(left int) {
		_, err := event.ParseJSON(text)
		if want := json.Valid(text) && utf8.Valid(text); (err == nil) != want {
			t.Errorf("ParseJSON(%q) gives error %v, want it accepted: %v", text, err, want)
		}
		if left == 0 {
			return
		}
		for _, token := range tokens {
			n := len(text)
			text = append(text, token...)
			grow(left - 1)
			text = text[:n]
		}
	}
	grow(4)
}

func TestParseJSONDepth(t *testing.T) {
	for depth, want := range map[int]bool{1: true, 511: true, 512: true, 513: false, 100_000: false} {
		for _, text := range []string{
			strings.Repeat("[", depth) + strings.Repeat("]", depth),
			strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth),
		} {
			if _, err := event.ParseJSON([]byte(text)); (err == nil) != want {
				t.Errorf("ParseJSON of %d levels of %c gives error %v, want it accepted: %v", depth, text[0], err, want)
			}
		}
	}
}

func TestParseJSONDoesNotRetain(t *testing.T) {
	data := []byte(`{"user":{"name":"Ada","n":12.50}}`)
	v, err := event.ParseJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	if got, want := string(v.AppendJSON(nil)), `{"user":{"name":"Ada","n":12.50}}`; got != want {
		t.Errorf("after the input was overwritten the value is %s, want %s", got, want)
	}
}

// TestParseJSONLargeObjects checks the index, and would take minutes if looking for duplicates were quadratic.
func TestParseJSONLargeObjects(t *testing.T) {
	const n = 200_000
	for name, member := range map[string]func(i int) string{
		"distinct":   func(i int) string { return fmt.Sprintf(`"k%d":%d`, i, i) },
		"same":       func(i int) string { return fmt.Sprintf(`"k0":%d`, i) },
		"each twice": func(i int) string { return fmt.Sprintf(`"k%d":%d`, i%(n/2), i) },
	} {
		var text strings.Builder
		for i := range n {
			text.WriteByte(",{"[b2i(i == 0)])
			text.WriteString(member(i))
		}
		text.WriteByte('}')
		v := mustParse(t, text.String())
		wantLen, wantFirst, at := n, "0", "k199999"
		switch name {
		case "same":
			wantLen, wantFirst, at = 1, "199999", "k0"
		case "each twice":
			wantLen, wantFirst, at = n/2, "100000", "k99999"
		}
		if got := len(v.Fields()); got != wantLen {
			t.Errorf("%s: %d members, want %d", name, got, wantLen)
		}
		if first := v.Fields()[0]; first.Name != "k0" || first.Value.Text() != wantFirst {
			t.Errorf("%s: the first member is %s: %s, want k0: %s", name, first.Name, first.Value.Text(), wantFirst)
		}
		if got := v.Field(at).Text(); got != "199999" {
			t.Errorf("%s: Field(%s) = %s, want 199999", name, at, got)
		}
		if got := v.Field("none").Kind(); got != event.Missing {
			t.Errorf("%s: Field(none) is %v, want missing", name, got)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
