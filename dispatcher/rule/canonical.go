package rule

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The canonical forms. Their fields' order is part of every version ever computed: add at the end, never reorder.
type (
	canonicalFilter struct {
		Name   string `json:"name"`
		Filter any    `json:"filter"`
	}
	canonicalRule struct {
		Name            string             `json:"name"`
		Description     string             `json:"description,omitempty"`
		On              []string           `json:"on"`
		Enabled         bool               `json:"enabled"`
		IncludeArchived bool               `json:"include_archived"`
		Filter          any                `json:"filter,omitempty"`
		Webhooks        []canonicalWebhook `json:"webhooks"`
	}
	canonicalWebhook struct {
		Name       string      `json:"name"`
		Endpoint   string      `json:"endpoint"`
		Parameters [][2]string `json:"parameters,omitempty"`
		Filter     any         `json:"filter,omitempty"`
		When       string      `json:"when,omitempty"`
		Timeout    string      `json:"timeout,omitempty"`
		Retries    string      `json:"retries,omitempty"`
		Encoding   string      `json:"encoding,omitempty"`
		Headers    [][2]string `json:"headers,omitempty"`
		Secrets    []string    `json:"secrets,omitempty"`
	}
)

// Canonical gives the rule set as bytes that are the same on every daemon with the same rules: JSON, what was left out
// filled in where the rule files' own defaults apply, rules and filters by name, no positions, no file names, secrets as
// ${NAME}. A daemon's delivery defaults are its own, so what leaves them to it stays left out.
func Canonical(d *Definitions) []byte {
	var b bytes.Buffer
	writeCanonical(&b, d)
	return b.Bytes()
}

// writeCanonical writes the canonical form, a rule at a time, to what never fails.
func writeCanonical(w io.Writer, d *Definitions) {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	list := func(begin string, n int, item func(int) any) {
		_, _ = io.WriteString(w, begin)
		for i := range n {
			b.Reset()
			if i > 0 {
				b.WriteByte(',')
			}
			if err := out.Encode(item(i)); err != nil {
				// Strings, booleans and slices of them: there is nothing that cannot be encoded.
				panic("rule: canonical form: " + err.Error())
			}
			_, _ = w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
		}
	}
	filters := byName(d.Filters, func(f *FilterDef) string { return f.Name.Text })
	list(`{"filters":[`, len(filters), func(i int) any { return canonicalFilter{filters[i].Name.Text, canonicalNode(filters[i].Filter)} })
	rules := byName(d.Rules, func(r *RuleDef) string { return r.Name.Text })
	list(`],"rules":[`, len(rules), func(i int) any { return canonicalRuleOf(rules[i]) })
	_, _ = io.WriteString(w, "]}")
}

// byName lists what has names by them, in their written order where two are one.
func byName[T any](all []T, name func(*T) string) []*T {
	list := make([]*T, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	slices.SortStableFunc(list, func(a, b *T) int { return cmp.Compare(name(a), name(b)) })
	return list
}

// version names the definitions by their canonical form.
func version(d *Definitions) string {
	sum := sha256.New()
	writeCanonical(sum, d)
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

func canonicalRuleOf(r *RuleDef) canonicalRule {
	out := canonicalRule{
		Name:            r.Name.Text,
		Description:     r.Description.Text,
		On:              []string{},
		Enabled:         truth(r.Enabled, true),
		IncludeArchived: truth(r.IncludeArchived, false),
		Filter:          canonicalNode(r.Filter),
		Webhooks:        []canonicalWebhook{},
	}
	for _, on := range r.On {
		out.On = append(out.On, on.Text)
	}
	for i := range r.Webhooks {
		w := &r.Webhooks[i]
		c := canonicalWebhook{
			Name:     webhookName(w, i),
			Endpoint: w.Endpoint.Text,
			Filter:   canonicalNode(w.Filter),
			When:     w.When.Text,
			Timeout:  w.Timeout.Text,
			Retries:  w.Retries.Text,
			Encoding: w.Encoding.Text,
		}
		if len(w.Parameters) > 0 {
			c.Parameters = make([][2]string, 0, len(w.Parameters))
		}
		for _, p := range w.Parameters {
			c.Parameters = append(c.Parameters, [2]string{p.Name.Text, p.Value.Text})
		}
		for _, h := range w.Headers {
			c.Headers = append(c.Headers, [2]string{h.Name.Text, h.Value.Text})
		}
		for _, s := range w.Secrets {
			c.Secrets = append(c.Secrets, canonicalSecret(s.Text))
		}
		out.Webhooks = append(out.Webhooks, c)
	}
	return out
}

// canonicalSecret keeps references as they are, and only a digest of a secret that is written out.
func canonicalSecret(s string) string {
	if refs, wrong := references(s); len(wrong) == 0 && len(refs) == 1 && refs[0].text == s {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonicalNode gives a filter as lists of lists: [path, operator, operands...], ["all", ...] and so on. The written
// order of entries is kept, an in-place mapping is an all.
func canonicalNode(n *FilterNode) any {
	if n == nil {
		return nil
	}
	if n.Name != nil {
		return n.Name.Text
	}
	parts := []any{"all"}
	for i := range n.Entries {
		e := &n.Entries[i]
		switch {
		case e.Not != nil:
			parts = append(parts, []any{"not", canonicalNode(e.Not)})
		case len(e.Conditions) == 0 && (e.Any != nil || e.Key.Text == "any"):
			parts = append(parts, canonicalList("any", e.Any))
		case len(e.Conditions) == 0:
			parts = append(parts, canonicalList("all", e.All))
		default:
			for j := range e.Conditions {
				parts = append(parts, canonicalCondition(e.Key.Text, &e.Conditions[j]))
			}
		}
	}
	return parts
}

func canonicalList(key string, nodes []*FilterNode) []any {
	list := []any{key}
	for _, n := range nodes {
		list = append(list, canonicalNode(n))
	}
	return list
}

func canonicalCondition(path string, c *Condition) []any {
	out := []any{"path", path, c.Op.Text}
	if !c.IsList {
		return append(out, canonicalScalar(c.Value))
	}
	list := []any{}
	for _, v := range c.Values {
		list = append(list, canonicalScalar(v))
	}
	return append(out, list)
}

// canonicalScalar tells 12 from "12": the text of what is no text carries its type.
func canonicalScalar(s Scalar) any {
	switch s.Type {
	case NumberScalar:
		return map[string]string{"number": s.Text}
	case BoolScalar:
		return strings.EqualFold(s.Text, "true")
	case NullScalar:
		return nil
	}
	return s.Text
}

// truth reads a boolean that may have been left out.
func truth(s Scalar, otherwise bool) bool {
	if s.Type != BoolScalar {
		return otherwise
	}
	return strings.EqualFold(s.Text, "true")
}

// webhookName is the webhook's name, by its place i in the rule where it was left out.
func webhookName(w *WebhookDef, i int) string {
	if w.Name.Type == Absent {
		return "webhook-" + strconv.Itoa(i+1)
	}
	return w.Name.Text
}
