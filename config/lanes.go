package config

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"bellhop/dispatcher/endpoint"
)

var (
	laneKeys    = []string{"endpoint", "concurrency", "rate", "tls"}
	laneTLSKeys = []string{"ca", "cert", "key"}
)

// lanes makes the key for the limits of single endpoints.
func lanes(path, doc string) setting {
	return setting{
		Key:    Key{Path: path, Type: "lanes", Doc: doc},
		schema: either(with(of("array"), schema{"items": laneSchema()}), schema{"const": ""}),
		set: func(s *Settings, r raw) error {
			var out []Lane
			var bad []error
			seen := map[string]int{}
			var items []*node
			if r.node != nil {
				items = r.node.items
			} else if len(r.list) > 0 {
				return errors.New("no list of lanes, such as [{endpoint: https://crm.example.com, concurrency: 8, rate: 50/s}]")
			}
			for i, item := range items {
				lane, err := readLane(item)
				if err != nil {
					for _, e := range split(err) {
						bad = append(bad, &within{fmt.Sprintf("[%d]", i), item, e})
					}
					continue
				}
				if first, twice := seen[lane.Endpoint]; twice {
					bad = append(bad, &within{fmt.Sprintf("[%d]", i), item, fmt.Errorf("%s has its lane in [%d] already", lane.Endpoint, first)})
					continue
				}
				seen[lane.Endpoint] = i
				out = append(out, lane)
			}
			if len(bad) > 0 {
				return errors.Join(bad...)
			}
			s.Delivery.Lanes = out
			return nil
		},
		get: func(s *Settings) any {
			out := make([]map[string]any, len(s.Delivery.Lanes))
			for i, l := range s.Delivery.Lanes {
				out[i] = map[string]any{"endpoint": l.Endpoint}
				if l.Concurrency > 0 {
					out[i]["concurrency"] = l.Concurrency
				}
				if l.Rate > 0 {
					out[i]["rate"] = showRate(l.Rate)
				}
				if l.TLS != (TLS{}) {
					out[i]["tls"] = l.TLS.show()
				}
			}
			return out
		},
	}
}

// within is an error at a place inside of a key's value.
type within struct {
	path string
	node *node // where it is, nil where unknown
	err  error
}

// Error gives the bare text; the path is the caller's to put before it.
func (w *within) Error() string { return w.err.Error() }

// split takes errors apart that errors.Join put together.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// readLane reads one lane.
func readLane(n *node) (Lane, error) {
	if n.kind != mappingNode {
		return Lane{}, fmt.Errorf("%s, but a lane is a mapping with endpoint, concurrency, rate and tls", n.describe())
	}
	var lane Lane
	var bad []error
	seen := map[string]bool{}
	for _, p := range n.pairs {
		key := p.key.text
		if p.key.kind != scalarNode || !contains(laneKeys, key) {
			bad = append(bad, errors.New(unknownKey(key, laneKeys)))
			continue
		}
		if seen[key] {
			bad = append(bad, fmt.Errorf("key %s is here twice", quote(key)))
			continue
		}
		seen[key] = true
		if key == "tls" {
			t, err := readLaneTLS(p.value)
			lane.TLS = t
			bad = append(bad, split(err)...)
			continue
		}
		if p.value.kind != scalarNode || p.value.null() {
			bad = append(bad, fmt.Errorf("%s: %s, but a single value belongs here", key, p.value.describe()))
			continue
		}
		var err error
		switch v := p.value.text; key {
		case "endpoint":
			lane.Endpoint, err = laneEndpoint(v)
		case "concurrency":
			var n int64
			n, err = wholeNumber(v, 1, 65536)
			lane.Concurrency = int(n)
		case "rate":
			lane.Rate, err = parseRate(v)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", key, err))
		}
	}
	if !seen["endpoint"] {
		bad = append(bad, errors.New("endpoint is missing"))
	}
	if !seen["concurrency"] && !seen["rate"] && !seen["tls"] && len(bad) == 0 {
		bad = append(bad, errors.New("neither concurrency nor rate nor tls, so the lane is like any other"))
	}
	if seen["tls"] && strings.HasPrefix(lane.Endpoint, "http:") {
		bad = append(bad, errors.New("tls: the endpoint is http://, which has none"))
	}
	return lane, errors.Join(bad...)
}

// readLaneTLS reads the names of a lane's PEM files. What is in them is for the daemon to read, which may be the only one
// that is allowed to.
func readLaneTLS(n *node) (TLS, error) {
	if n.kind != mappingNode {
		return TLS{}, fmt.Errorf("tls: %s, but a mapping with ca, cert and key belongs here", n.describe())
	}
	var t TLS
	var bad []error
	seen := map[string]bool{}
	for _, p := range n.pairs {
		key := p.key.text
		switch {
		case p.key.kind != scalarNode || !contains(laneTLSKeys, key):
			bad = append(bad, fmt.Errorf("tls: %s", unknownKey(key, laneTLSKeys)))
			continue
		case seen[key]:
			bad = append(bad, fmt.Errorf("tls: key %s is here twice", quote(key)))
			continue
		case p.value.kind != scalarNode || p.value.null() || p.value.text == "":
			bad = append(bad, fmt.Errorf("tls.%s: %s, but the name of a PEM file belongs here", key, p.value.describe()))
			seen[key] = true
			continue
		}
		seen[key] = true
		switch key {
		case "ca":
			t.CA = p.value.text
		case "cert":
			t.Cert = p.value.text
		case "key":
			t.Key = p.value.text
		}
	}
	switch {
	case len(n.pairs) == 0:
		bad = append(bad, errors.New("tls: neither ca nor cert and key"))
	case seen["cert"] && !seen["key"]:
		bad = append(bad, errors.New("tls.key: missing, but needed with tls.cert"))
	case seen["key"] && !seen["cert"]:
		bad = append(bad, errors.New("tls.cert: missing, but needed with tls.key"))
	}
	return t, errors.Join(bad...)
}

// show lists the files that are named.
func (t TLS) show() map[string]any {
	out := map[string]any{}
	for i, file := range []string{t.CA, t.Cert, t.Key} {
		if file != "" {
			out[laneTLSKeys[i]] = file
		}
	}
	return out
}

// laneEndpoint reduces an endpoint to what makes its lane: scheme, host and port.
func laneEndpoint(v string) (string, error) {
	u, err := url.Parse(v)
	if err == nil && u.User != nil {
		return "", errors.New("user information does not belong in an endpoint")
	}
	parsed, err := endpoint.Parse(v, endpoint.Normalize)
	if err != nil {
		return "", err
	}
	return parsed.Lane, nil
}

// rateUnits are the seconds of a rate's units.
var rateUnits = map[string]float64{"s": 1, "m": 60, "h": 3600}

// parseRate reads a rate such as 50/s, 10/m or 500/h as events a second.
func parseRate(v string) (float64, error) {
	count, unit, ok := strings.Cut(strings.TrimSpace(v), "/")
	seconds := rateUnits[strings.TrimSpace(unit)]
	f, err := strconv.ParseFloat(strings.TrimSpace(count), 64)
	switch {
	case err == nil && !ok:
		return 0, fmt.Errorf("%s has no unit: write %s/s for that many a second", v, v)
	case err != nil || seconds == 0 || math.IsNaN(f) || math.IsInf(f, 0):
		return 0, fmt.Errorf("%s is no rate such as 50/s, 10/m or 500/h", quote(v))
	case f <= 0:
		return 0, fmt.Errorf("%s, but a rate must be more than 0", v)
	}
	return f / seconds, nil
}

// showRate writes a rate in the largest unit that gives a number of one or more.
func showRate(perSecond float64) string {
	for _, unit := range []string{"s", "m"} {
		if n := perSecond * rateUnits[unit]; n >= 1 {
			return formatCount(n) + "/" + unit
		}
	}
	return formatCount(perSecond*rateUnits["h"]) + "/h"
}

// formatCount writes a count without what the division into seconds has added.
func formatCount(f float64) string {
	return strconv.FormatFloat(math.Round(f*1e6)/1e6, 'f', -1, 64)
}
