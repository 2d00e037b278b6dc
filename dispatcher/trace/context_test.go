package trace

import (
	"strings"
	"testing"
)

const (
	id     = "0af7651916cd43dd8448eb211c80319c"
	span   = "b7ad6b7169203331"
	parent = "00-" + id + "-" + span + "-01"
)

// TestOf reads contexts as W3C Trace Context, 3.2 and 4.3, has them read.
func TestOf(t *testing.T) {
	one := func(name, value string) map[string][]string { return map[string][]string{name: {value}} }
	for name, c := range map[string]struct {
		h    map[string][]string
		want string // "": none
	}{
		"no headers":                 {nil, ""},
		"none among others":          {map[string][]string{"Nats-Msg-Id": {"1"}, "ce-id": {"2"}}, ""},
		"sampled":                    {one("traceparent", parent), parent},
		"not sampled":                {one("traceparent", "00-"+id+"-"+span+"-00"), "00-" + id + "-" + span + "-00"},
		"flags that nobody knows":    {one("traceparent", "00-"+id+"-"+span+"-ff"), "00-" + id + "-" + span + "-ff"},
		"another case of the name":   {one("Traceparent", parent), parent},
		"two spellings":              {map[string][]string{"TRACEPARENT": {"00-" + id + "-1111111111111111-01"}, "traceparent": {parent}}, parent},
		"white space around it":      {one("traceparent", " \t"+parent+" "), parent},
		"later version":              {one("traceparent", "01-"+id+"-"+span+"-01"), parent},
		"later version, longer":      {one("traceparent", "cc-"+id+"-"+span+"-03-what-will-be"), parent},
		"later version, other flags": {one("traceparent", "cc-"+id+"-"+span+"-02"), "00-" + id + "-" + span + "-00"},
		"later version, no dash":     {one("traceparent", "cc-"+id+"-"+span+"-01x"), ""},
		"twice":                      {map[string][]string{"traceparent": {parent, parent}}, ""},
		"empty":                      {one("traceparent", ""), ""},
		"no traceparent":             {one("traceparent", "hello"), ""},
		"version ff":                 {one("traceparent", "ff-"+id+"-"+span+"-01"), ""},
		"version in upper case":      {one("traceparent", "0A-"+id+"-"+span+"-01"), ""},
		"longer than version 00":     {one("traceparent", parent+"-00"), ""},
		"a dash too many":            {one("traceparent", parent+"-"), ""},
		"too short":                  {one("traceparent", parent[:54]), ""},
		"upper case":                 {one("traceparent", "00-"+strings.ToUpper(id)+"-"+span+"-01"), ""},
		"no hex in the id":           {one("traceparent", "00-"+id[:31]+"g-"+span+"-01"), ""},
		"no hex in the flags":        {one("traceparent", "00-"+id+"-"+span+"-0x"), ""},
		"trace of zeros":             {one("traceparent", "00-"+strings.Repeat("0", 32)+"-"+span+"-01"), ""},
		"parent of zeros":            {one("traceparent", "00-"+id+"-"+strings.Repeat("0", 16)+"-01"), ""},
		"dashes elsewhere":           {one("traceparent", "00"+id+"--"+span+"-01"), ""},
		"a line break":               {one("traceparent", parent+"\r\nX: y"), ""},
	} {
		got := Of(c.h)
		if (got == nil) != (c.want == "") || got != nil && got.Parent != c.want {
			t.Errorf("%s: Of(%q) = %+v, want %q", name, c.h, got, c.want)
		}
	}
}

// TestState hands a tracestate on as it came, within the standard's bounds.
func TestState(t *testing.T) {
	long := "long=" + strings.Repeat("x", 124) // 129 characters
	var many, most []string
	for i := range 33 {
		many = append(many, "k"+string(rune('a'+i%26))+string(rune('a'+i/26))+"=v")
	}
	for i := range 30 {
		most = append(most, "k"+string(rune('a'+i%26))+string(rune('a'+i/26))+"="+strings.Repeat("y", 20))
	}
	for name, c := range map[string]struct {
		values []string
		want   string
	}{
		"none":                     {nil, ""},
		"one":                      {[]string{"rojo=00f067aa0ba902b7"}, "rojo=00f067aa0ba902b7"},
		"the order stays":          {[]string{"b=2,a=1,c@sys=3"}, "b=2,a=1,c@sys=3"},
		"two headers":              {[]string{"b=2", "a=1"}, "b=2,a=1"},
		"white space around":       {[]string{"b=2 , a=1"}, "b=2,a=1"},
		"as many as there may be":  {[]string{strings.Join(many[:32], ",")}, strings.Join(many[:32], ",")},
		"too many":                 {[]string{strings.Join(many, ",")}, ""},
		"no value":                 {[]string{"b"}, ""},
		"a key in upper case":      {[]string{"B=2"}, ""},
		"twice the same key":       {[]string{"b=1,b=2"}, ""},
		"a line break":             {[]string{"b=1\r\nX: y"}, ""},
		"long ones go first":       {[]string{"a=1," + long + "," + strings.Join(most[:20], ",")}, "a=1," + strings.Join(most[:20], ",")},
		"then those at the end":    {[]string{strings.Join(most, ",")}, strings.Join(most[:20], ",")},
		"longer than will be read": {[]string{strings.Repeat("a=1,", 3000)}, ""},
	} {
		got := Of(map[string][]string{"traceparent": {parent}, "tracestate": c.values})
		if got == nil || got.Parent != parent || got.State != c.want {
			t.Errorf("%s: state of %q = %+v, want %q", name, c.values, got, c.want)
		}
		if got != nil && len(got.State) > maxState {
			t.Errorf("%s: %d characters go on, at most %d", name, len(got.State), maxState)
		}
	}
}

// TestOfAllocatesNothing has events without a context cost nothing.
func TestOfAllocatesNothing(t *testing.T) {
	headers := map[string][]string{
		"Nats-Msg-Id": {"evt-1"}, "ce-id": {"evt-1"}, "ce-specversion": {"1.0"}, "ce-source": {"/lms"}, "elevenchars": {"x"},
	}
	for name, h := range map[string]map[string][]string{"no headers": nil, "other headers": headers} {
		if n := testing.AllocsPerRun(1000, func() {
			if Of(h) != nil {
				t.Error("a context where there is none")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	for name, h := range map[string]map[string][]string{
		"none":  nil,
		"other": {"Nats-Msg-Id": {"evt-1"}, "ce-id": {"evt-1"}, "ce-specversion": {"1.0"}, "ce-source": {"/lms"}},
		"there": {"Nats-Msg-Id": {"evt-1"}, "traceparent": {parent}, "tracestate": {"rojo=00f067aa0ba902b7"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = Of(h)
			}
		})
	}
}

func FuzzOf(f *testing.F) {
	f.Add(parent, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
	f.Add("cc-"+id+"-"+span+"-03-more", "a=1, b=2 ,,c=3")
	f.Add("ff-"+id, "B=2")
	f.Fuzz(func(t *testing.T, parent, state string) {
		c := Of(map[string][]string{"traceparent": {parent}, "tracestate": {state}})
		if c == nil {
			return
		}
		if len(c.Parent) != parentLength || len(c.State) > maxState || strings.ContainsAny(c.Parent+c.State, "\r\n\x00") {
			t.Errorf("Of(%q, %q) = %+v, which is not fit for headers", parent, state, c)
		}
		if again := c.Valid(); again == nil || *again != *c {
			t.Errorf("Of(%q, %q) = %+v, and read again %+v", parent, state, c, again)
		}
	})
}
