package config

import (
	"strings"

	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

// Patterns of what rule files hold.
const (
	namePattern   = `^[a-z0-9_-]{1,64}$`
	typePattern   = `^(([^.*> \t]+|\*)\.)*([^.*> \t]+|\*|>)$`
	pathPattern   = `^[^.]+(\.[^.]+)*$`
	rulesDuration = goDuration
	timePattern   = `^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$`
	valuePattern  = `^[^\x00-\x08\x0a-\x1f\x7f]*$`
	tokenPattern  = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
	// A reference to a secret may stand for anything. Before the path there is no user information, and nowhere a fragment.
	endpointPattern = `^(\$\{[^}]*\}|[hH][tT][tT][pP][sS]?://(\$\{[^}]*\}|[^@#/?\x00-\x1f\x7f])+([/?]|$))(\$\{[^}]*\}|[^#\x00-\x1f\x7f])*$`
	secretPattern   = `^whsec_[A-Za-z0-9+/]+=*$|\$\{`
)

// keyDocs describe the keys of rule files.
var keyDocs = map[string]string{
	"filters": "filters by name, for all files",
	"rules":   "the rules",

	"name":             "unique; 1 to 64 of a-z 0-9 - _",
	"description":      "for people",
	"on":               "event types, one or a list; * is one token, a trailing > the rest",
	"enabled":          "false keeps the rule and sends nothing",
	"include_archived": "whether events about archived users fire it",
	"filter":           "which events fire it: a filter, or a filter's name",
	"webhooks":         "where the events go",

	"endpoint":   "where to POST: an http or https URL",
	"parameters": "the form: a mapping, a list of name and value, or a=@x&b=@y; values may hold @variables",
	"when":       "an expression over the event's data that has to be true",
	"timeout":    "from an attempt's start to the answer's headers",
	"retries":    "attempts after the first",
	"encoding":   "normalize; or literal, which takes every % for a percent sign",
	"headers":    "more headers; values may hold ${SECRETS}",
	"secret":     "signing secrets by Standard Webhooks, as ${NAME}; a list while rotating",
}

// RulesSchema describes a rule file as a JSON Schema (2020-12).
func RulesSchema() map[string]any {
	file := keyed(fileKeys, schema{
		"filters": with(of("object", "null"), schema{"propertyNames": schema{"pattern": namePattern}, "additionalProperties": ref("filter")}),
		"rules":   with(of("array", "null"), schema{"items": ref("rule")}),
	})
	file["type"] = []string{"object", "null"}
	file["$defs"] = schema{
		"rule": with(keyed(ruleKeys, schema{
			"name": named(), "description": of("string", "number", "boolean", "null"), "on": oneOrMore(eventTypes()),
			"enabled": of("boolean"), "include_archived": of("boolean"), "filter": ref("filter"),
			"webhooks": with(of("array"), schema{"items": ref("webhook"), "minItems": 1}),
		}), schema{"required": []string{"name", "on", "webhooks"}}),
		"webhook": with(keyed(webhookKeys, schema{
			"name":       named(),
			"endpoint":   with(of("string"), schema{"maxLength": endpoint.MaxLength, "pattern": endpointPattern}),
			"parameters": parameterSchema(), "filter": ref("filter"),
			"when":     with(of("string", "boolean"), schema{"pattern": `[^ \t\r\n]`, "maxLength": 4096}),
			"timeout":  with(of("string"), schema{"pattern": rulesDuration, "not": schema{"pattern": `^[+]?0[a-z]*$`}}),
			"retries":  with(of("integer"), schema{"minimum": 0, "maximum": 20}),
			"encoding": schema{"enum": []string{string(endpoint.Normalize), string(endpoint.Literal)}},
			"headers":  headerSchema(),
			"secret":   oneOrMore(with(of("string"), schema{"pattern": secretPattern})),
		}), schema{"required": []string{"endpoint"}}),
		"filter": either(named(), with(of("object"), schema{
			"properties":           schema{"all": filterSchemas("all of these"), "any": filterSchemas("one of these or more"), "not": ref("filter")},
			"propertyNames":        schema{"pattern": pathPattern},
			"additionalProperties": ref("condition"),
			"minProperties":        1,
		})),
		"condition": conditionSchema(),
	}
	return root("rules", "Bellhop rule file", file)
}

// keyed is a closed schema of some keys, each with its description.
func keyed(keys []string, of schema) schema {
	properties := schema{}
	for _, key := range keys {
		properties[key] = schema{"description": keyDocs[key], "allOf": []schema{of[key].(schema)}}
	}
	return closed(properties)
}

// ref refers to a definition.
func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

// named is the schema of a rule's, webhook's or filter's name.
func named() schema { return with(of("string", "integer", "boolean"), schema{"pattern": namePattern}) }

// eventTypes is the schema of an entry of on: the catalogue's types are there for editors to offer.
func eventTypes() schema {
	return either(schema{"enum": event.Types()}, with(of("string", "number"), schema{"pattern": typePattern}))
}

// parameterSchema is the schema of the three forms of parameters.
func parameterSchema() schema {
	value := of("string", "number", "boolean", "null")
	one := with(closed(schema{"name": scalar(), "value": value}), schema{"required": parameterKeys})
	return either(
		with(of("object"), schema{"additionalProperties": value}),
		with(of("array"), schema{"items": one}),
		of("string", "number", "boolean", "null"),
	)
}

// headerSchema is the schema of headers, without those that are Bellhop's or the connection's.
func headerSchema() schema {
	var taken []string
	for _, name := range rule.ReservedHeaders() {
		taken = append(taken, anyCase(name))
	}
	return with(of("object", "null"), schema{
		"propertyNames": schema{
			"pattern": tokenPattern, "not": schema{"pattern": "^(" + strings.Join(taken, "|") + "|" + anyCase("webhook-") + ".*)$"},
		},
		"additionalProperties": with(scalar(), schema{"pattern": valuePattern}),
	})
}

func filterSchemas(doc string) schema {
	return with(of("array"), schema{"items": ref("filter"), "minItems": 1, "description": doc})
}

// conditionSchema is the schema of what must hold of a path.
func conditionSchema() schema {
	list := with(of("array"), schema{"items": scalar(), "minItems": 1})
	bound := either(of("number"), with(of("string"), schema{"pattern": timePattern}))
	properties := schema{}
	for _, op := range rule.Operators() {
		switch op {
		case "in", "not_in":
			properties[op] = list
		case "contains":
			properties[op] = either(scalar(), list)
		case "starts_with", "ends_with":
			properties[op] = of("string")
		case "matches":
			properties[op] = with(of("string"), schema{"format": "regex"})
		case "gt", "gte", "lt", "lte":
			properties[op] = bound
		case "exists":
			properties[op] = of("boolean")
		default:
			properties[op] = scalar()
		}
	}
	return either(scalar(), with(closed(properties), schema{"minProperties": 1}))
}
