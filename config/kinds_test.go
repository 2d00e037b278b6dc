package config

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		fail string
	}{
		{"10s", 10 * time.Second, ""}, {"1m30s", 90 * time.Second, ""}, {"7d", 168 * time.Hour, ""}, {"2w", 336 * time.Hour, ""},
		{"0", 0, ""}, {"500ms", 500 * time.Millisecond, ""}, {"1.5h", 90 * time.Minute, ""},
		{"30", 0, "has no unit"}, {"", 0, "no duration"}, {"soon", 0, "no duration"}, {"999999999w", 0, "too long"},
	} {
		got, err := ParseDuration(c.text)
		if c.fail != "" {
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("ParseDuration(%q) fails with %v, want %q", c.text, err, c.fail)
			}
		} else if err != nil || got != c.want {
			t.Errorf("ParseDuration(%q) = %s, %v, want %s", c.text, got, err, c.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64 // -1: fails
	}{
		{"1MiB", 1 << 20}, {"1048576", 1 << 20}, {"1mib", 1 << 20}, {"512 KB", 512_000}, {"64KiB", 64 << 10}, {"2GiB", 2 << 30},
		{"1GB", 1e9}, {"3MB", 3e6}, {"10B", 10}, {"1.5KiB", 1536}, {"0", 0},
		{"", -1}, {"MiB", -1}, {"1.5B", -1}, {"1e30GiB", -1}, {"0x10", -1}, {"NaN", -1}, {"inf", -1}, {"1TiB", -1},
	} {
		got, err := parseSize(c.text)
		if c.want < 0 {
			if err == nil {
				t.Errorf("parseSize(%q) = %d, want an error", c.text, got)
			}
		} else if err != nil || got != c.want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", c.text, got, err, c.want)
		}
	}
}

func TestParseRate(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  float64 // 0: fails
		shown string
	}{
		{"50/s", 50, "50/s"}, {"30/m", 0.5, "30/m"}, {"7/h", 7.0 / 3600, "7/h"}, {"0.5/s", 0.5, "30/m"}, {" 10 / s ", 10, "10/s"},
		{"90/m", 1.5, "1.5/s"},
		{"50", 0, ""}, {"0/s", 0, ""}, {"-1/s", 0, ""}, {"50/d", 0, ""}, {"/s", 0, ""}, {"inf/s", 0, ""}, {"", 0, ""},
	} {
		got, err := parseRate(c.text)
		switch {
		case c.want == 0 && err == nil:
			t.Errorf("parseRate(%q) = %v, want an error", c.text, got)
		case c.want != 0 && (err != nil || got != c.want || showRate(got) != c.shown):
			t.Errorf("parseRate(%q) = %v shown as %s, %v, want %v shown as %s", c.text, got, showRate(got), err, c.want, c.shown)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"127.0.0.1", "127.0.0.1/32"}, {"10.0.0.0/8", "10.0.0.0/8"}, {"::1", "::1/128"}, {"fd00::/8", "fd00::/8"},
		{"::ffff:10.0.0.1", "10.0.0.1/32"}, {"0.0.0.0/0", "0.0.0.0/0"},
		{"127.0.0.1/8", "127.0.0.0/8"}, {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		{"fe80::1%eth0", ""}, {"localhost", ""}, {"10.0.0.0/33", ""}, {"", ""},
	} {
		got, err := parseNetwork(c.text)
		if c.want == "" && err == nil || c.want != "" && (err != nil || got.String() != c.want) {
			t.Errorf("parseNetwork(%q) = %s, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		name      string
		check     check
		good, bad []string
	}{
		{"stream name", streamName, []string{"EVENTS", "a-b_c", "größe"}, []string{"", "a b", "a.b", "a*", "a>", "a/b", `a\b`, "a\tb"}},
		{"subject prefix", subjectPrefix, []string{"events", "a.b.c"}, []string{"", ".", "a.", ".a", "a..b", "a.*", "a.>", "a b", "$JS.x"}},
		{"address", address, []string{"", "127.0.0.1:0", ":80", "[::1]:8420", "localhost:4222"},
			[]string{"localhost", "1.2.3.4:x", "::1:80", "a:70000", "http://a:80", "a b:80"}},
		{"NATS URL", natsURLs, []string{"", "nats://a:4222", "a:4222", "tls://u:p@a", "nats://a,nats://b", "wss://a/x"},
			[]string{"http://a", "nats://", "nats://a,", "nats://a b", "nats://u:p@"}},
		{"proxy", proxyURL, []string{"", "http://proxy:3128", "socks5://u:p@proxy"}, []string{"proxy:3128", "proxy", "ftp://proxy", "http://"}},
		{"retry_on", retryOn, []string{"timeout", "network", "408", "4xx", "5xx"}, []string{"", "3xx", "200", "tls", "600", "0408", "5XX"}},
	} {
		for _, v := range c.good {
			if err := c.check(v); err != nil {
				t.Errorf("%s %q is refused: %v", c.name, v, err)
			}
		}
		for _, v := range c.bad {
			if c.check(v) == nil {
				t.Errorf("%s %q is accepted, want an error", c.name, v)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"name", "endpoint", "include_archived", "filter"}
	for _, c := range []struct{ name, want string }{
		{"endpont", "endpoint"}, {"edpoint", "endpoint"}, {"naem", "name"}, {"includeArchived", "include_archived"},
		{"include-archived", "include_archived"}, {"filters", "filter"}, {"colour", ""}, {"", ""},
	} {
		if got := nearest(c.name, known); got != c.want {
			t.Errorf("nearest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}
