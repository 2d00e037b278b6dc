package bus

import "testing"

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		patterns []string
		want     string
		covers   bool
		overlaps bool
	}{
		{[]string{"events.>"}, "events.>", true, true},
		{[]string{">"}, "events.>", true, true},
		{[]string{"*.>"}, "events.>", true, true},
		{[]string{"events.*"}, "events.>", false, true},
		{[]string{"events.*.*"}, "events.>", false, true},
		{[]string{"events.course.*"}, "events.>", false, true},
		{[]string{"events.course.completed"}, "events.>", false, true},
		{[]string{"events"}, "events.>", false, false},
		{[]string{"other.>"}, "events.>", false, false},
		{[]string{"other.>", "events.>"}, "events.>", true, true},
		{[]string{"events.a.>", "events.b.>"}, "events.>", false, true},
		{nil, "events.>", false, false},
		{[]string{"a.b.>"}, "a.b.c.>", true, true},
		{[]string{"a.*.>"}, "a.b.>", true, true},
		{[]string{"a.*.c"}, "a.b.>", false, true},
		{[]string{"a.b"}, "a.b.>", false, false},
		{[]string{"a.b.*"}, "a.b.*", true, true},
		{[]string{"a.b.c"}, "a.b.*", false, true},
		{[]string{"*.*"}, "a.b", true, true},
		{[]string{"*"}, "a.b", false, false},
		{[]string{"a.>"}, "a", false, false},
		{[]string{"evt.prod.>"}, "evt.prod.events.>", true, true},
		{[]string{"*.events.>"}, "evt.>", false, true},
	} {
		if got := covers(c.patterns, c.want); got != c.covers {
			t.Errorf("covers(%v, %q) = %v, want %v", c.patterns, c.want, got, c.covers)
		}
		if got := overlaps(c.patterns, c.want); got != c.overlaps {
			t.Errorf("overlaps(%v, %q) = %v, want %v", c.patterns, c.want, got, c.overlaps)
		}
		if covers(c.patterns, c.want) && !overlaps(c.patterns, c.want) {
			t.Errorf("%v covers %q and does not overlap it", c.patterns, c.want)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"nats://127.0.0.1:4222":                     "nats://127.0.0.1:4222",
		"127.0.0.1:4222":                            "nats://127.0.0.1:4222",
		"nats://u:p@h:1":                            "nats://h:1",
		"tls://token@h:1, nats://u:p@ss@i:2":        "tls://h:1,nats://i:2",
		"u:p@h:1":                                   "nats://h:1",
		"nats://a:4222,nats://b:4222,nats://c:4222": "nats://a:4222,nats://b:4222,nats://c:4222",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}
