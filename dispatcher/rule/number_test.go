package rule

import (
	"math/big"
	"strings"
	"testing"
)

func TestCompareNumbers(t *testing.T) {
	// Ascending; those on one line are equal.
	ladder := [][]string{
		{"-1e999999999999999999"},
		{"-1e400", "-10e399"},
		{"-12.5", "-12.50", "-125e-1"},
		{"-12"},
		{"-0.0001", "-1e-4"},
		{"0", "-0", "0.0", "0e5", "0e999999999999999999999", "-0.000", "000", "+0", ".0", "0."},
		{"1e-999999999999999999"},
		{"0.1", ".1", "1e-1", "0.10", "00.1"},
		{"0.11"},
		{"1", "1.", "1.0", "10e-1", "0.1e1", "01", "+1", "1E0", "1e+0"},
		{"12", "12.0", "1.2e1", "120e-1"},
		{"100", "1e2", "1.00e2", "100.000"},
		{"9007199254740992"},
		{"9007199254740992.5"},
		{"9007199254740993"},
		{"9" + strings.Repeat("0", 400), "9e400"},
		{"1e999999999"},
		{"1.1e999999999"},
	}
	for i, row := range ladder {
		for j, other := range ladder {
			for _, a := range row {
				for _, b := range other {
					want := 0
					if i < j {
						want = -1
					} else if i > j {
						want = 1
					}
					x, ok := parseNumber(a)
					y, also := parseNumber(b)
					if !ok || !also || x.compare(y) != want {
						t.Errorf("%.30s compared with %.30s is %d (read: %v, %v), want %d", a, b, x.compare(y), ok, also, want)
					}
				}
			}
		}
	}
	for _, s := range []string{"", "-", "+", ".", "e5", "1e", "1e+", "1x", "0x1", "1 ", " 1", "1.2.3", "--1", "NaN", "Inf", "1_000"} {
		if _, ok := parseNumber(s); ok {
			t.Errorf("parseNumber(%q) takes it for a number", s)
		}
	}
}

func TestParseTime(t *testing.T) {
	same := []string{"2026-01-31T08:00:00Z", "2026-01-31T10:00:00+02:00", "2026-01-31t08:00:00.000z", "2026-01-31T07:59:60Z"}
	want, _ := parseTime(same[0])
	for _, s := range same {
		if got, ok := parseTime(s); !ok || !got.Equal(want) {
			t.Errorf("parseTime(%s) = %v, %v; want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "2026-01-31", "2026-01-31T08:00:00", "2026-01-31 08:00:00Z", "2026-02-30T08:00:00Z",
		"2026-01-31T25:00:00Z", "2026-01-31T8:00:00Z", "2026-01-31T08:00:00,5Z", "2026-01-31T08:00:00+2:00", "20260131T080000Z"} {
		if got, ok := parseTime(s); ok {
			t.Errorf("parseTime(%q) = %v, want it refused", s, got)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"staff", "staff", 0}, {"staf", "staff", 1}, {"satff", "staff", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzCompareNumbers holds the comparison by digits to exact arithmetic.
func FuzzCompareNumbers(f *testing.F) {
	for _, s := range []string{"0", "-0.0", "12", "12.0", "9007199254740993", "9007199254740992", "1e2", "-1.5e-3", "00.010", "5e0"} {
		f.Add(s, "12.50")
		f.Add("9007199254740993.0", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, ok := parseNumber(a)
		y, also := parseNumber(b)
		if x.compare(y) != -y.compare(x) {
			t.Errorf("%s with %s is %d, and the other way round %d", a, b, x.compare(y), y.compare(x))
		}
		// Exact arithmetic multiplies exponents out: only small ones can be held to it.
		if !ok || !also || max(x.exp, -x.exp, y.exp, -y.exp) > 2000 || len(a)+len(b) > 2000 {
			return
		}
		p, ok := new(big.Rat).SetString(a)
		q, also := new(big.Rat).SetString(b)
		if !ok || !also {
			return
		}
		if got, want := x.compare(y), p.Cmp(q); got != want {
			t.Errorf("%s compared with %s is %d, want %d", a, b, got, want)
		}
	})
}
