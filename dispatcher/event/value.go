package event

import "strings"

// Kind says which of JSON's kinds a Value holds.
type Kind uint8

// The kinds of JSON values (RFC 8259, section 3). The zero Kind is Missing: no value at all.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	List
	Object
)

// String names the kind as messages for operators do: "object", "list", "number".
func (k Kind) String() string {
	switch k {
	case Missing:
		return "missing"
	case Null:
		return "null"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case List:
		return "list"
	case Object:
		return "object"
	}
	return "unknown"
}

// Value is one JSON value as it arrived: numbers keep their digits, objects the order of their keys.
// The zero Value is Missing. A Value is immutable and safe for concurrent use, as long as the event that it is of.
type Value struct {
	kind  Kind
	truth bool
	text  string // Number: as written; String: decoded, valid UTF-8
	body  *body  // List, Object: what is inside; nil where they are empty
}

// body holds what is inside a list or an object. It stands behind a pointer because most values are scalars, and a
// Value is copied often.
type body struct {
	items  []Value
	fields []Field
	index  map[string]int32 // place in fields by name; nil where there are few
}

// indexAbove is the number of members above which an object gets an index; below it a scan is as fast as a hash.
const indexAbove = 16

// Field is one member of an object.
type Field struct {
	Name  string
	Value Value
}

// Str returns a String value. The text must be valid UTF-8.
func Str(s string) Value { return Value{kind: String, text: s} }

// Kind returns the value's kind; Missing for the zero Value.
func (v Value) Kind() Kind { return v.kind }

// Absent tells whether the value is missing or null, which every filter and template treat alike.
func (v Value) Absent() bool { return v.kind <= Null }

// Bool returns the truth of a Bool, false for any other kind.
func (v Value) Bool() bool { return v.truth }

// Text returns a Number's digits as written or a String's text, "" for any other kind.
func (v Value) Text() string { return v.text }

// Items returns a List's elements, which the caller must not change.
func (v Value) Items() []Value {
	if v.body == nil {
		return nil
	}
	return v.body.items
}

// Fields returns an Object's members in the order they came, which the caller must not change.
func (v Value) Fields() []Field {
	if v.body == nil {
		return nil
	}
	return v.body.fields
}

// Field returns the object's member of that name, the zero Value where there is none or v is no object.
func (v Value) Field(name string) Value {
	if v.body == nil {
		return Value{}
	}
	if v.body.index != nil {
		if i, ok := v.body.index[name]; ok {
			return v.body.fields[i].Value
		}
		return Value{}
	}
	for i := range v.body.fields {
		if f := &v.body.fields[i]; f.Name == name {
			return f.Value
		}
	}
	return Value{}
}

// Lookup follows a dotted path (user.organization.name) through nested objects. Any step that is not there, or is no
// object, gives the zero Value. List elements cannot be addressed. An empty path gives v itself.
func (v Value) Lookup(path []string) Value {
	for _, name := range path {
		if v.kind != Object {
			return Value{}
		}
		v = v.Field(name)
	}
	return v
}

// private tells whether a member of that name is left out of every event, whatever the case it is written in. The
// folding is Unicode's, so that a long s does not smuggle one past; hence the lengths in bytes.
func private(name string) bool {
	switch n := len(name); {
	case n >= 3 && n <= 5:
		return strings.EqualFold(name, "ssn")
	case n >= 8 && n <= 10:
		return strings.EqualFold(name, "password")
	}
	return false
}
