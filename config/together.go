package config

import (
	"fmt"
	"math"
	"time"
)

// maxDelay bounds what the delays may grow to. It is far beyond use, and keeps them from overflowing.
const maxDelay = 366 * 24 * time.Hour

// leastAge is the least that nats-server takes for a stream's max_age.
const leastAge = 100 * time.Millisecond

// together checks what no key can tell alone. A problem is put down to the key that was set last, as that is the one the
// operator has just touched. Keys that are wrong by themselves are left out.
func (l *loader) together(c *Loaded) {
	s := &c.Settings
	streams := map[string]string{}
	for _, k := range []struct{ path, name string }{
		{"events.stream", s.Events.Stream}, {"results.stream", s.Results.Stream}, {"retries.stream", s.Retries.Stream},
	} {
		if l.bad[k.path] {
			continue
		}
		if other := streams[k.name]; other != "" {
			l.clash(c, k.path, other, "%s is the stream of %s too: each needs its own", k.name)
			continue
		}
		streams[k.name] = k.path
	}
	if l.good("events.prefix", "results.prefix") && overlap(s.Events.Prefix, s.Results.Prefix) {
		l.clash(c, "results.prefix", "events.prefix", "%s overlaps with %s: one stream cannot share the other's subjects", s.Results.Prefix)
	}
	if l.good("console.listen", "console.token") && s.Console.Listen != "" && s.Console.Token == "" && !loopback(s.Console.Listen) {
		l.fault(c.origins["console.listen"], "console.token",
			fmt.Sprintf("empty, but one is required as console.listen %s is not loopback", s.Console.Listen))
	}
	l.tokens(c)
	l.pair(c, "nats.user", s.NATS.User, "nats.password", s.NATS.Password)
	l.pair(c, "nats.tls.cert", s.NATS.TLS.Cert, "nats.tls.key", s.NATS.TLS.Key)
	if l.good("delivery.initial_delay", "delivery.multiplier", "delivery.retries") && s.Delivery.Retries > 0 {
		last := float64(s.Delivery.InitialDelay) * math.Pow(s.Delivery.Multiplier, float64(s.Delivery.Retries-1))
		if last > float64(maxDelay) {
			path := l.latest(c, "delivery.initial_delay", "delivery.multiplier", "delivery.retries")
			l.fault(c.origins[path], path, "the delay before the last retry would be more than a year: "+
				"lower delivery.initial_delay, delivery.multiplier or delivery.retries")
		}
	}
	for _, k := range []struct {
		path string
		age  time.Duration
	}{{"events.max_age", s.Events.MaxAge}, {"results.max_age", s.Results.MaxAge}} {
		if l.good(k.path) && k.age > 0 && k.age < leastAge {
			l.fault(c.origins[k.path], k.path, fmt.Sprintf("%s, but a stream keeps messages for %s at least", showDuration(k.age), leastAge))
		}
	}
	if l.good("nats.url") && s.NATS.URL == "" {
		l.embedded(c)
	}
}

// embedded warns of what the embedded server has no use for, and of one that everybody may use.
func (l *loader) embedded(c *Loaded) {
	s := c.Settings
	warn := func(path, format string, v ...any) {
		c.Warnings = append(c.Warnings, Problem{c.origins[path], path, fmt.Sprintf(format, v...)})
	}
	if l.good("nats.replicas") && s.NATS.Replicas > 1 {
		warn("nats.replicas", "%d, but the embedded server is a single one: set nats.url to a cluster's", s.NATS.Replicas)
	}
	for _, key := range []struct{ path, value string }{
		{"nats.credentials", s.NATS.Credentials}, {"nats.token", s.NATS.Token}, {"nats.nkey", s.NATS.NKey},
		{"nats.tls.ca", s.NATS.TLS.CA}, {"nats.tls.cert", s.NATS.TLS.Cert},
	} {
		if l.good(key.path) && key.value != "" {
			warn(key.path, "the embedded server does not ask for it, but for nats.user and nats.password alone: set those, or nats.url to another server's")
		}
	}
	if l.good("nats.listen", "nats.user") && s.NATS.Listen != "" && s.NATS.User == "" && !loopback(s.NATS.Listen) {
		warn("nats.listen", "%s is not loopback, and without nats.user and nats.password whoever reaches it may publish events and read outcomes", s.NATS.Listen)
	}
}

// good tells whether none of the keys is wrong by itself.
func (l *loader) good(paths ...string) bool {
	for _, p := range paths {
		if l.bad[p] {
			return false
		}
	}
	return true
}

// latest is the key set by the latest layer; of several, the last in the list.
func (l *loader) latest(c *Loaded, paths ...string) string {
	out := paths[0]
	for _, p := range paths[1:] {
		if c.origins[p].Layer >= c.origins[out].Layer {
			out = p
		}
	}
	return out
}

// clash notes that two keys do not go together; format takes the value and the other key.
func (l *loader) clash(c *Loaded, a, b, format, value string) {
	path, other := a, b
	if l.latest(c, b, a) == b {
		path, other = b, a
	}
	l.fault(c.origins[path], path, fmt.Sprintf(format, value, other))
}

// pair notes that one of two keys is set without the other.
func (l *loader) pair(c *Loaded, a, av, b, bv string) {
	switch {
	case !l.good(a, b):
	case av != "" && bv == "":
		l.fault(c.origins[a], b, "empty, but needed with "+a)
	case av == "" && bv != "":
		l.fault(c.origins[b], a, "empty, but needed with "+b)
	}
}

// tokens makes sure that the console's lesser tokens stand beside a greater one, and that no two are the same.
func (l *loader) tokens(c *Loaded) {
	if !l.good("console.token", "console.read_token", "console.widget_token") {
		return
	}
	t := c.Settings.Console
	for _, one := range []struct{ path, value string }{{"console.read_token", t.ReadToken}, {"console.widget_token", t.WidgetToken}} {
		switch one.value {
		case "":
		case t.Token:
			l.fault(c.origins[one.path], one.path, "the same as console.token, which may do everything")
		default:
			if t.Token == "" {
				l.fault(c.origins[one.path], one.path, "console.token is empty: without it everybody on this machine may do everything")
			}
		}
	}
	if t.WidgetToken != "" && t.WidgetToken == t.ReadToken {
		l.fault(c.origins["console.widget_token"], "console.widget_token", "the same as console.read_token, which may read more")
	}
}
