package rule

import "bellhop/dispatcher/event"

// dictionary numbers the values that conditions ask for, by the path that they ask for them at. Equal values have one
// number: 12 and 12.0 do, 12 and "12" do not.
type dictionary struct {
	data  field
	attrs []attrField // of the envelope
	size  int32
}

type attrField struct {
	attr string
	field
}

// field is what is known of one path.
type field struct {
	names  []string          // of the fields below it that are known
	below  map[string]*field // by their names
	texts  map[string]int32
	digits map[string]int32 // numbers, by their key
	truths [2]int32         // false and true: the value's number and 1; 0 for none
}

// at finds the field that the condition reads, known or not yet.
func (d *dictionary) at(c *condition) *field {
	if c.attr != "" {
		for i := range d.attrs {
			if d.attrs[i].attr == c.attr {
				return &d.attrs[i].field
			}
		}
		// Made for all of them at once: pointers into the list stay good.
		d.attrs = make([]attrField, len(envelope))
		for i, attr := range envelope {
			d.attrs[i].attr = attr
		}
		return d.at(c)
	}
	f := &d.data
	for _, name := range c.path {
		below := f.below[name]
		if below == nil {
			if f.below == nil {
				f.below = map[string]*field{}
			}
			below = &field{}
			f.below[name] = below
			f.names = append(f.names, name)
		}
		f = below
	}
	return f
}

// number gives the number of an operand's value at a field, a new one where it has none yet.
func (d *dictionary) number(f *field, o *operand) int32 {
	var values *map[string]int32
	var key string
	switch o.kind {
	case event.Bool:
		n := &f.truths[truthPlace(o.truth)]
		if *n == 0 {
			d.size++
			*n = d.size
		}
		return *n - 1
	case event.Number:
		var buf [keySize]byte
		digits := o.number.appendKey(buf[:0])
		if n, ok := f.digits[string(digits)]; ok {
			return n
		}
		values, key = &f.digits, string(digits)
	default:
		if n, ok := f.texts[o.text]; ok {
			return n
		}
		values, key = &f.texts, o.text
	}
	if *values == nil {
		*values = map[string]int32{}
	}
	n := d.size
	(*values)[key] = n
	d.size++
	return n
}

// of appends the numbers of all the values of the event that are known, each at its path.
func (d *dictionary) of(e *event.Event, dst []int32) []int32 {
	for i := range d.attrs {
		if f := &d.attrs[i].field; f.texts != nil {
			dst = f.value(e.Attr(d.attrs[i].attr), dst)
		}
	}
	return d.data.inside(e.Data, dst)
}

// inside looks into an object: for what is known, or at what is there, whichever is less.
func (f *field) inside(v event.Value, dst []int32) []int32 {
	if len(f.names) == 0 || v.Kind() != event.Object {
		return dst
	}
	if members := v.Fields(); len(members) < len(f.names) {
		for i := range members {
			if below := f.below[members[i].Name]; below != nil {
				dst = below.inside(members[i].Value, below.value(members[i].Value, dst))
			}
		}
		return dst
	}
	for _, name := range f.names {
		if found := v.Field(name); !found.Absent() {
			below := f.below[name]
			dst = below.inside(found, below.value(found, dst))
		}
	}
	return dst
}

// value appends the number of a value where it is known.
func (f *field) value(v event.Value, dst []int32) []int32 {
	switch v.Kind() {
	case event.Bool:
		if n := f.truths[truthPlace(v.Bool())]; n > 0 {
			return append(dst, n-1)
		}
	case event.String:
		if n, ok := f.texts[v.Text()]; ok {
			return append(dst, n)
		}
	case event.Number:
		if f.digits == nil {
			return dst
		}
		if number, ok := parseNumber(v.Text()); ok {
			var buf [keySize]byte
			if n, ok := f.digits[string(number.appendKey(buf[:0]))]; ok {
				return append(dst, n)
			}
		}
	}
	return dst
}

func truthPlace(truth bool) int {
	if truth {
		return 1
	}
	return 0
}
