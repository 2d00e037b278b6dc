package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

type dur = time.Duration

// raw is a key's value before its type is known: text, a list of texts, or for lanes a node of YAML.
type raw struct {
	text   string
	list   []string
	node   *node // of a list, where it was written as YAML
	isList bool
	origin Origin
}

// one is the value where a single one belongs.
func (r raw) one() (string, error) {
	if r.isList {
		return "", errors.New("a list, but a single value belongs here")
	}
	return r.text, nil
}

// check refuses a value that has its type but not the meaning.
type check func(string) error

// text makes a key for any text.
func text(path, def, doc string, field func(*Settings) *string, checks ...check) setting {
	return setting{
		Key:    Key{Path: path, Type: "text", Default: def, Doc: doc},
		schema: with(scalar(), schema{"pattern": `^[^\x00\r\n]*$`}),
		set: func(s *Settings, r raw) error {
			v, err := r.one()
			if err != nil {
				return err
			}
			if strings.ContainsAny(v, "\x00\r\n") {
				return errors.New("a line break or NUL, which cannot be part of it")
			}
			for _, c := range checks {
				if err := c(v); err != nil {
					return err
				}
			}
			*field(s) = v
			return nil
		},
		get: func(s *Settings) any { return *field(s) },
	}
}

// as changes the key's type as documented.
func (s setting) as(typ string) setting { s.Type = typ; return s }

// secret marks the key as one whose value is never shown.
func (s setting) secret() setting { s.Secret = true; return s }

// standard names the variable that stands in for the key's default.
func (s setting) standard(variable string) setting { s.std = variable; return s }

// choice makes a key for one of some words; the first is the default.
func choice(path, doc string, field func(*Settings) *string, words ...string) setting {
	s := text(path, words[0], doc, field, func(v string) error {
		if contains(words, v) {
			return nil
		}
		if w := nearest(v, words); w != "" {
			return fmt.Errorf("%s, did you mean %s?", quote(v), w)
		}
		return fmt.Errorf("%s, but one of %s belongs here", quote(v), strings.Join(words, ", "))
	})
	s.schema = schema{"enum": words}
	return s.as(strings.Join(words, "|"))
}

// list makes a key for a list of texts.
func list(path, def, doc string, field func(*Settings) *[]string, checks ...check) setting {
	return setting{
		Key:    Key{Path: path, Type: "list", Default: def, Doc: doc},
		schema: either(with(of("array"), schema{"items": scalar()}), scalar()),
		set: func(s *Settings, r raw) error {
			var bad []error
			for _, v := range r.list {
				for _, c := range checks {
					if err := c(v); err != nil {
						bad = append(bad, err)
					}
				}
			}
			if len(bad) > 0 {
				return errors.Join(bad...)
			}
			*field(s) = append([]string{}, r.list...)
			return nil
		},
		get: func(s *Settings) any { return *field(s) },
	}
}

// integer makes a key for a whole number from least to most.
func integer(path, def, doc string, least, most int, field func(*Settings) *int) setting {
	return setting{
		Key:    Key{Path: path, Type: "integer", Default: def, Doc: doc},
		schema: wholeNumbers(least, most),
		set: func(s *Settings, r raw) error {
			v, err := r.one()
			if err != nil {
				return err
			}
			n, err := wholeNumber(v, int64(least), int64(most))
			if err != nil {
				return err
			}
			*field(s) = int(n)
			return nil
		},
		get: func(s *Settings) any { return *field(s) },
	}
}

// wholeNumber reads a decimal number within bounds.
func wholeNumber(v string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		n = math.MaxInt64
		if strings.HasPrefix(v, "-") {
			n = math.MinInt64
		}
	case err != nil:
		return 0, fmt.Errorf("%s is no whole number", quote(v))
	}
	switch {
	case n < least:
		return 0, fmt.Errorf("%s, at least %d", v, least)
	case n > most:
		return 0, fmt.Errorf("%s, at most %d", v, most)
	}
	return n, nil
}

// number makes a key for a number from least to most.
func number(path, def, doc string, least, most float64, field func(*Settings) *float64) setting {
	return setting{
		Key:    Key{Path: path, Type: "number", Default: def, Doc: doc},
		schema: numbers(least, most),
		set: func(s *Settings, r raw) error {
			v, err := r.one()
			if err != nil {
				return err
			}
			f, err := strconv.ParseFloat(v, 64)
			switch {
			case err != nil || math.IsNaN(f):
				return fmt.Errorf("%s is no number", quote(v))
			case f < least:
				return fmt.Errorf("%s, at least %v", v, least)
			case f > most:
				return fmt.Errorf("%s, at most %v", v, most)
			}
			*field(s) = f
			return nil
		},
		get: func(s *Settings) any { return *field(s) },
	}
}

// truth makes a key for true or false.
func truth(path, def, doc string, field func(*Settings) *bool) setting {
	return setting{
		Key:    Key{Path: path, Type: "boolean", Default: def, Doc: doc},
		schema: schema{"enum": []any{true, false, "true", "false"}},
		set: func(s *Settings, r raw) error {
			v, err := r.one()
			if err != nil {
				return err
			}
			switch strings.ToLower(v) {
			case "true":
				*field(s) = true
			case "false":
				*field(s) = false
			default:
				return fmt.Errorf("%s, but only true or false belongs here", quote(v))
			}
			return nil
		},
		get: func(s *Settings) any { return *field(s) },
	}
}

// duration makes a key for a duration of at least that many nanoseconds: 0 or more, or 1 for more than nothing.
func duration(path, def, doc string, least time.Duration, field func(*Settings) *dur) setting {
	return setting{
		Key:    Key{Path: path, Type: "duration", Default: def, Doc: doc},
		schema: durations(least == 0),
		set: func(s *Settings, r raw) error {
			v, err := r.one()
			if err != nil {
				return err
			}
			d, err := ParseDuration(v)
			switch {
			case err != nil:
				return err
			case d < 0:
				return fmt.Errorf("%s, but a duration cannot be negative", v)
			case d < least:
				return fmt.Errorf("%s, but it must be more than 0", v)
			}
			*field(s) = d
			return nil
		},
		get: func(s *Settings) any { return showDuration(*field(s)) },
	}
}

// ParseDuration reads what time.ParseDuration reads, and days and weeks (7d, 2w) as operators write them.
func ParseDuration(v string) (time.Duration, error) {
	for unit, hours := range map[string]int64{"d": 24, "w": 7 * 24} {
		if n, err := strconv.ParseInt(strings.TrimSuffix(v, unit), 10, 32); err == nil && strings.HasSuffix(v, unit) {
			if n > math.MaxInt64/int64(time.Hour)/hours {
				return 0, fmt.Errorf("%s is too long", quote(v))
			}
			return time.Duration(n*hours) * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(v)
	if err == nil {
		return d, nil
	}
	if _, numeric := strconv.ParseFloat(v, 64); numeric == nil {
		return 0, fmt.Errorf("%s has no unit: write %ss for seconds", v, v)
	}
	return 0, fmt.Errorf("%s is no duration such as 500ms, 10s, 5m, 12h or 7d", quote(v))
}

// showDuration writes a duration without its empty units: 168h, not 168h0m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size makes a key for a number of bytes.
func size(path, def, doc string, least, most int64, field func(*Settings) *int64) setting {
	return setting{
		Key:    Key{Path: path, Type: "size", Default: def, Doc: doc},
		schema: sizes(least, most),
		set: func(s *Settings, r raw) error {
			v, err := r.one()
			if err != nil {
				return err
			}
			n, err := parseSize(v)
			switch {
			case err != nil:
				return err
			case n < least:
				return fmt.Errorf("%s, at least %s", v, showSize(least))
			case n > most:
				return fmt.Errorf("%s, at most %s", v, showSize(most))
			}
			*field(s) = n
			return nil
		},
		get: func(s *Settings) any { return showSize(*field(s)) },
	}
}

// sizeUnits are the units of sizes, larger ones first; the first of each size is how it is shown.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// parseSize reads a size such as 1MiB, 512 KB or 1048576.
func parseSize(v string) (int64, error) {
	digits, bytes := strings.TrimSpace(v), int64(1)
	for _, u := range sizeUnits {
		if n := len(digits) - len(u.name); n > 0 && strings.EqualFold(digits[n:], u.name) {
			digits, bytes = strings.TrimSpace(digits[:n]), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || strings.ContainsAny(digits, "xXpP_") {
		return 0, fmt.Errorf("%s is no size such as 1048576, 512KiB or 1MiB", quote(v))
	}
	f *= float64(bytes)
	switch {
	case f > 1<<62:
		return 0, fmt.Errorf("%s is too large", quote(v))
	case f != math.Trunc(f):
		return 0, fmt.Errorf("%s is no whole number of bytes", quote(v))
	}
	return int64(f), nil
}

// showSize writes a size in the largest binary unit that holds it whole.
func showSize(n int64) string {
	for _, u := range sizeUnits[:3] {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// networks makes the key for networks; a single address is the network of itself alone.
func networks(path, doc string) setting {
	return setting{
		Key:    Key{Path: path, Type: "list", Doc: doc},
		schema: either(with(of("array"), schema{"items": networkSchema()}), networkSchema(), schema{"const": ""}),
		set: func(s *Settings, r raw) error {
			out := make([]netip.Prefix, 0, len(r.list))
			var bad []error
			for _, v := range r.list {
				p, err := parseNetwork(v)
				if err != nil {
					bad = append(bad, err)
					continue
				}
				out = append(out, p)
			}
			if len(bad) > 0 {
				return errors.Join(bad...)
			}
			s.Delivery.AllowNetworks = out
			return nil
		},
		get: func(s *Settings) any {
			out := make([]string, len(s.Delivery.AllowNetworks))
			for i, p := range s.Delivery.AllowNetworks {
				out[i] = p.String()
			}
			return out
		},
	}
}

// networkSchema is the schema of one network.
func networkSchema() schema {
	return with(of("string"), schema{"pattern": `^[0-9a-fA-F.:]+(/[0-9]{1,3})?$`})
}

// parseNetwork reads 10.0.0.0/8, fd00::/8, or a single address.
func parseNetwork(v string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(v); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%s has a zone, which a network cannot have", quote(v))
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is no network such as 10.0.0.0/8 or 127.0.0.1", quote(v))
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	// 127.0.0.1/8 is how many write a network: what stands behind the prefix means nothing.
	return p.Masked(), nil
}
