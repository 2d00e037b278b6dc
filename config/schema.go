package config

import (
	"encoding/json"
	"strings"
)

// schema is a JSON Schema, or a part of one. Schemas here never refuse what the loader takes; of what the loader refuses
// they leave alone only what no schema can tell: names that stand twice, filters that are not there, expressions.
type schema = map[string]any

// draft is the version of JSON Schema that is spoken here.
const draft = "https://json-schema.org/draft/2020-12/schema"

// root begins a schema.
func root(name, title string, s schema) schema {
	s["$schema"], s["$id"], s["title"] = draft, "urn:bellhop:schema:"+name, title
	return s
}

// either is a schema that wants one of several.
func either(options ...schema) schema { return schema{"anyOf": options} }

// of is a schema of one of some types.
func of(types ...string) schema {
	if len(types) == 1 {
		return schema{"type": types[0]}
	}
	return schema{"type": types}
}

// with adds to a schema what else holds, and gives it.
func with(s schema, more schema) schema {
	for k, v := range more {
		s[k] = v
	}
	return s
}

// oneOrMore is a schema of one value or of a list of them.
func oneOrMore(item schema) schema {
	return either(item, with(of("array"), schema{"items": item, "minItems": 1}))
}

// closed is a schema of a mapping with these keys and no others.
func closed(properties schema) schema {
	return with(of("object"), schema{"properties": properties, "additionalProperties": false})
}

// scalar is a schema of any single value. A YAML number or boolean is as good a text as any: it is taken as written.
func scalar() schema { return of("string", "number", "boolean") }

// anyCase is a pattern of the name in any case. Schemas' patterns know no flag for that.
func anyCase(name string) string {
	var b strings.Builder
	for _, r := range name {
		if lower, upper := strings.ToLower(string(r)), strings.ToUpper(string(r)); lower != upper {
			b.WriteString("[" + lower + upper + "]")
			continue
		}
		if r == '-' {
			b.WriteString("-")
			continue
		}
		b.WriteString(`\` + string(r))
	}
	return b.String()
}

// The patterns of Go's durations, and with the days and weeks that settings take besides.
const (
	goDuration  = `^[+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	anyDuration = `^[+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|[0-9]+[dw])$`
)

// SettingsSchema describes the daemon's configuration file as a JSON Schema (2020-12), made of the same table as the
// settings themselves.
func SettingsSchema() map[string]any {
	top := closed(schema{})
	top["type"] = []string{"object", "null"}
	for _, s := range table {
		at := top
		parts := strings.Split(s.Path, ".")
		for i, group := range parts[:len(parts)-1] {
			properties := at["properties"].(schema)
			if properties[group] == nil {
				g := closed(schema{})
				g["type"] = []string{"object", "null"}
				g["description"] = "settings of " + strings.Join(parts[:i+1], ".")
				properties[group] = g
			}
			at = properties[group].(schema)
		}
		key := schema{"description": s.Doc}
		if s.Default != "" {
			key["default"] = s.defaultValue()
		}
		at["properties"].(schema)[parts[len(parts)-1]] = with(key, s.schema)
	}
	return root("config", "Bellhop configuration", top)
}

// defaultValue is the default as the file would hold it.
func (s setting) defaultValue() any {
	switch s.Type {
	case "integer", "number":
		return json.Number(s.Default)
	case "boolean":
		return s.Default == "true"
	case "list":
		return strings.Split(s.Default, ",")
	}
	return s.Default
}

// shaped narrows a key's schema to what its check lets through.
func (s setting) shaped(more schema) setting {
	s.schema = with(schema{}, s.schema)
	s.schema = with(s.schema, more)
	return s
}

// like narrows a key to texts of a pattern.
func (s setting) like(pattern string) setting { return s.shaped(schema{"pattern": pattern}) }

// items narrows a list's key to such items; a single one may stand without a list, and an empty text for none.
func (s setting) items(item schema) setting {
	s.schema = either(with(of("array"), schema{"items": item}), item, schema{"const": ""})
	return s
}

// wholeNumbers is the schema of a whole number within bounds, which may be quoted.
func wholeNumbers(least, most int) schema {
	return with(of("integer", "string"), schema{"minimum": least, "maximum": most, "pattern": `^[+-]?[0-9]+$`})
}

// numbers is the schema of a number within bounds, which may be quoted.
func numbers(least, most float64) schema {
	return with(of("number", "string"), schema{"minimum": least, "maximum": most, "pattern": `^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`})
}

// durations is the schema of a duration; a bare 0 needs no unit.
func durations(zero bool) schema {
	if !zero {
		return with(of("string"), schema{"pattern": anyDuration, "not": schema{"pattern": `^[+]?0+[a-z]*$`}})
	}
	return with(of("string", "integer"), schema{"pattern": anyDuration, "minimum": 0, "maximum": 0})
}

// sizes is the schema of a number of bytes.
func sizes(least, most int64) schema {
	return with(of("integer", "string"), schema{
		"minimum": least, "maximum": most, "pattern": `^[ ]*[0-9]+(\.[0-9]*)?[ ]*([kKmMgG][iI]?[bB]|[bB])?[ ]*$`,
	})
}

// laneSchema is the schema of what one lane has of its own.
func laneSchema() schema {
	file := with(of("string"), schema{"minLength": 1})
	files := with(closed(schema{
		"ca":   with(file, schema{"description": "PEM file of the authorities to trust, in place of the system's"}),
		"cert": with(file, schema{"description": "PEM file of the client's certificate"}),
		"key":  with(file, schema{"description": "PEM file of the client's key"}),
	}), schema{"minProperties": 1, "dependentRequired": schema{"cert": []string{"key"}, "key": []string{"cert"}}})
	lane := closed(schema{
		"endpoint":    with(of("string"), schema{"pattern": `^[hH][tT][tT][pP][sS]?://[^@]+$`, "description": "scheme, host and port"}),
		"concurrency": with(wholeNumbers(1, 65536), schema{"description": "POSTs in flight"}),
		"rate":        with(of("string"), schema{"pattern": `^[ ]*[0-9.]+([eE][+-]?[0-9]+)?[ ]*/[ ]*[smh][ ]*$`, "description": "POSTs a second, a minute or an hour: 50/s"}),
		"tls":         files,
	})
	return with(lane, schema{
		"required": []string{"endpoint"},
		"anyOf":    []schema{{"required": []string{"concurrency"}}, {"required": []string{"rate"}}, {"required": []string{"tls"}}},
	})
}
