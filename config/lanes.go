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

var laneKeys = []string{"endpoint", "concurrency", "rate"}

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
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// readLane reads one lane.
func readLane(n *node) (Lane, error) {
	if n.kind != mappingNode {
		return Lane{}, fmt.Errorf("%s, but a lane is a mapping with endpoint, concurrency and rate", n.describe())
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
	if !seen["concurrency"] && !seen["rate"] && len(bad) == 0 {
		bad = append(bad, errors.New("neither concurrency nor rate, so nothing is limited"))
	}
	return lane, errors.Join(bad...)
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
