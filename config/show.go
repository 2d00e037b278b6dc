package config

import (
	"fmt"
	"strings"
)

// masked stands for a secret that is set.
const masked = "***"

// Entry is one key's value in force, for people.
type Entry struct {
	Path   string `json:"key"`
	Value  any    `json:"value"`  // text, integer, number, boolean, list of texts or of lanes; secrets masked
	Origin string `json:"origin"` // default, bellhop.yaml:7, env BELLHOP_NATS__URL, flag --nats.url
}

// Entries lists every key in documentation order with its value in force, secrets masked, and its origin.
func (l *Loaded) Entries() []Entry {
	out := make([]Entry, len(table))
	for i, s := range table {
		out[i] = Entry{s.Path, s.shown(&l.Settings), l.origins[s.Path].String()}
	}
	return out
}

// Origin says where the key's value was set.
func (l *Loaded) Origin(path string) Origin { return l.origins[path] }

// shown is the value with its secrets masked.
func (s setting) shown(settings *Settings) any {
	v := s.get(settings)
	t, isText := v.(string)
	switch {
	case !isText || t == "":
		return v
	case s.Secret:
		return masked
	case s.Type == "url":
		return maskURLs(t)
	default:
		return v
	}
}

// maskURLs masks the user information of URLs, comma separated. A name alone is masked too: for NATS it is a token.
func maskURLs(text string) string {
	parts := strings.Split(text, ",")
	for i, p := range parts {
		scheme, rest, ok := strings.Cut(p, "://")
		if !ok {
			scheme, rest = "", p
		} else {
			scheme += "://"
		}
		host, tail := rest, ""
		if end := strings.IndexAny(rest, "/?#"); end >= 0 && !strings.Contains(rest[end:], "@") {
			host, tail = rest[:end], rest[end:]
		}
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			parts[i] = scheme + masked + host[at:] + tail
		}
	}
	return strings.Join(parts, ",")
}

// Text writes an entry's value on one line.
func (e Entry) Text() string {
	switch v := e.Value.(type) {
	case string:
		return v
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case []map[string]any:
		lanes := make([]string, len(v))
		for i, lane := range v {
			lanes[i] = flow(lane, laneKeys)
		}
		return "[" + strings.Join(lanes, ", ") + "]"
	default:
		return fmt.Sprint(v)
	}
}

// flow writes a mapping on one line, its keys in an order.
func flow(m map[string]any, keys []string) string {
	var fields []string
	for _, key := range keys {
		switch value := m[key].(type) {
		case nil:
		case map[string]any:
			fields = append(fields, key+": "+flow(value, laneTLSKeys))
		default:
			fields = append(fields, fmt.Sprintf("%s: %v", key, value))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}
