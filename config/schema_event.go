package config

import (
	"strings"

	"bellhop/dispatcher/event"
	"bellhop/template"
)

// EventSchema describes an event's message as a JSON Schema (2020-12): the data alone, or a whole CloudEvent. What is
// described of the data is convention: any object is an event.
func EventSchema() map[string]any {
	return root("event", "Bellhop event", with(of("object"), schema{
		"if":   schema{"required": []string{"specversion"}},
		"then": ref("cloudevent"),
		"else": ref("data"),
		"$defs": schema{
			"cloudevent": schema{
				"description": "CloudEvents 1.0, structured",
				"properties": schema{
					"specversion": schema{"description": "1.0"},
					"id":          with(of("string"), schema{"minLength": 1, "description": "with the source, what tells the event from all others"}),
					"source":      schema{"description": "who sends it: a URI reference"},
					"type":        schema{"description": "for people: the event's type is the subject's", "examples": event.Types()},
					"time":        schema{"description": "RFC 3339"},
				},
				"required": []string{"id"},
				"anyOf": []schema{
					{"properties": schema{"data": ref("data")}, "required": []string{"data"}},
					{
						"properties": schema{"data_base64": with(of("string"), schema{"contentEncoding": "base64", "contentMediaType": "application/json"})},
						"required":   []string{"data_base64"}, "not": schema{"required": []string{"data"}},
					},
				},
			},
			"data": with(of("object"), schema{
				"description": "what happened; members named password or ssn are left out",
				"properties":  dataProperties(),
			}),
		},
	}))
}

// dataProperties describes the fields that the catalogue's variables read.
func dataProperties() schema {
	properties := schema{}
	for _, entity := range template.Entities() {
		properties[entity] = schema{"description": "the " + entity, "properties": schema{}}
	}
	for _, n := range template.Catalogue() {
		for _, try := range n.Reads {
			for path := range strings.FieldsSeq(try) {
				describe(properties, strings.Split(path, "."), n)
			}
		}
	}
	user := properties["user"].(schema)["properties"].(schema)
	user["archived"] = schema{"description": "true: fires only rules that include archived users"}
	return properties
}

// describe notes that a variable reads the field at the path.
func describe(properties schema, path []string, n template.Name) {
	if path[0] == "event" {
		return // the envelope's
	}
	for _, step := range path[:len(path)-1] {
		field, _ := properties[step].(schema)
		if field == nil {
			field = schema{}
			properties[step] = field
		}
		if field["properties"] == nil {
			field["properties"] = schema{}
		}
		properties = field["properties"].(schema)
	}
	last := path[len(path)-1]
	field, _ := properties[last].(schema)
	if field == nil {
		field = schema{}
		properties[last] = field
	}
	text := "@" + n.Name
	if before, ok := field["description"].(string); ok {
		text = before + ", " + text
	}
	field["description"] = text
}
