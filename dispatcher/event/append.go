package event

// AppendJSON appends v as compact JSON: keys in their order, numbers as written, and in strings nothing escaped but what
// JSON requires (RFC 8259, section 7). Missing gives null, for want of anything else that is JSON.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case Bool:
		if v.truth {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case Number:
		return append(dst, v.text...)
	case String:
		return appendString(dst, v.text)
	case List:
		dst = append(dst, '[')
		for i, item := range v.Items() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.AppendJSON(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		fields := v.Fields()
		for i := range fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, fields[i].Name)
			dst = append(dst, ':')
			dst = fields[i].Value.AppendJSON(dst)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// AppendText appends v as a template shows it: a string bare, a number as written, true or false, null and missing as
// nothing, a list's elements joined with a comma, an object as compact JSON. Inside a list a list is compact JSON too:
// joined as well, it could not be told from its neighbours.
func (v Value) AppendText(dst []byte) []byte {
	switch v.kind {
	case Missing, Null:
		return dst
	case Number, String:
		return append(dst, v.text...)
	case List:
		for i, item := range v.Items() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if item.kind == List {
				dst = item.AppendJSON(dst)
			} else {
				dst = item.AppendText(dst)
			}
		}
		return dst
	}
	return v.AppendJSON(dst)
}

const hexDigits = "0123456789abcdef"

// appendString appends s quoted. What needs no escape is copied in runs.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
