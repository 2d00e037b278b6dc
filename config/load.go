package config

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	envPrefix   = "BELLHOP_"
	fileEnv     = "BELLHOP_CONFIG"
	defaultFile = "bellhop.yaml"
)

// LoadOptions says where settings are read from.
type LoadOptions struct {
	File    string         // the configuration file, which must be there; "": BELLHOP_CONFIG, else bellhop.yaml where there is one
	Environ []string       // the environment as NAME=value; nil: the process's own
	Flags   *pflag.FlagSet // with the flags of RegisterFlags, parsed; nil: none
	// Reserved are BELLHOP_ variables besides BELLHOP_CONFIG and BELLHOP_SECRET_* that are no keys, and not read here.
	Reserved []string
}

// Loaded is a valid configuration and where each of its values comes from.
type Loaded struct {
	Settings Settings
	File     string    // the file that was read, "" where none was
	Warnings []Problem // what is valid but most likely not meant
	origins  map[string]Origin
}

// Load reads the layers: defaults, the file, the environment, flags. Where anything is wrong in any of them the error is a
// *Problems with all of it.
func Load(o LoadOptions) (*Loaded, error) {
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	l := loader{ko: koanf.New("."), bad: map[string]bool{}}
	l.defaults(o)
	file := l.file(o)
	l.environment(o)
	l.flags(o.Flags)

	out := &Loaded{File: file, origins: map[string]Origin{}}
	for _, s := range table {
		r := l.raws[l.ko.Int(s.Path)]
		out.origins[s.Path] = r.origin
		if err := s.set(&out.Settings, r); err != nil {
			l.refuse(r.origin, s.Path, err)
		}
	}
	l.together(out)
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Origin.Layer, b.Origin.Layer), cmp.Compare(a.Origin.Line, b.Origin.Line),
				cmp.Compare(a.Origin.Column, b.Origin.Column))
		})
		return nil, &Problems{l.problems}
	}
	return out, nil
}

// loader gathers the layers. Koanf decides which layer's value is in force; its leaves are places in raws, so that
// every value keeps its origin.
type loader struct {
	ko       *koanf.Koanf
	raws     []raw
	problems []Problem
	bad      map[string]bool // paths with a problem
}

// layer is one layer's values by path, a koanf.Provider.
type layer map[string]any

// ReadBytes is never called: layers are read already.
func (layer) ReadBytes() ([]byte, error) { return nil, errors.New("layers have no bytes") }

// Read nests the values as koanf wants them.
func (l layer) Read() (map[string]any, error) { return maps.Unflatten(l, "."), nil }

// merge puts a layer over those before.
func (l *loader) merge(values map[string]raw) {
	out := make(layer, len(values))
	for path, r := range values {
		out[path] = len(l.raws)
		l.raws = append(l.raws, r)
	}
	if err := l.ko.Load(out, nil); err != nil {
		panic(err) // neither Read nor merging without StrictMerge can fail
	}
}

// fault notes a problem.
func (l *loader) fault(o Origin, path, text string) {
	l.bad[path] = true
	l.problems = append(l.problems, Problem{o, path, text})
}

// refuse notes what is wrong with a key's value, each thing by itself.
func (l *loader) refuse(o Origin, path string, err error) {
	for _, e := range split(err) {
		at, in := o, path
		if w := (*within)(nil); errors.As(e, &w) {
			in += w.path
			if at.Layer == FromFile && w.node != nil {
				at.Line, at.Column = int(w.node.line), int(w.node.col)
			}
		}
		l.fault(at, in, e.Error())
	}
	l.bad[path] = true
}

// defaults is the first layer. Variables that every program with OpenTelemetry heeds stand in for defaults: whatever is set for this
// one goes before them.
func (l *loader) defaults(o LoadOptions) {
	values := map[string]raw{}
	for _, s := range table {
		values[s.Path], _ = fromText(&s, s.Default, Origin{})
		for _, variable := range o.Environ {
			if name, value, _ := strings.Cut(variable, "="); s.std != "" && name == s.std && value != "" {
				values[s.Path] = raw{text: value, origin: Origin{Layer: FromEnv, Name: name}}
			}
		}
	}
	l.merge(values)
}

// file is the second layer. It returns the path of the file that was read.
func (l *loader) file(o LoadOptions) string {
	path, explicit := o.File, true
	if path == "" {
		for _, variable := range o.Environ {
			if value, ok := strings.CutPrefix(variable, fileEnv+"="); ok {
				path = value
			}
		}
	}
	if path == "" {
		path, explicit = defaultFile, false
	}
	text, err := readBounded(path, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return ""
	}
	origin := Origin{Layer: FromFile, Name: path}
	if err != nil {
		l.fault(origin, "", "cannot be read: "+reason(err).Error())
		return path
	}
	docs, err := parseYAML(text)
	switch {
	case err != nil:
		text := err.Error()
		if e := (*syntaxError)(nil); errors.As(err, &e) {
			origin.Line, origin.Column, text = e.line, e.col, e.text
		}
		l.fault(origin, "", "not valid YAML: "+text)
	case len(docs) > 1:
		origin.Line, origin.Column = int(docs[1].line), int(docs[1].col)
		l.fault(origin, "", "a second document: the configuration is one")
	case len(docs) == 1 && !docs[0].null():
		r := fileReader{shaper: shaper{name: path}, values: map[string]raw{}}
		r.group(docs[0], "")
		for _, p := range r.problems {
			l.fault(Origin{FromFile, p.Pos.File, p.Pos.Line, p.Pos.Column}, p.Path, p.Text)
		}
		l.merge(r.values)
	}
	return path
}

// fileReader turns the file's tree into values by path. It shares the shapes, and their errors, with rule files.
type fileReader struct {
	shaper
	values map[string]raw
}

// group reads a mapping of keys and further groups; prefix ends in a dot unless it is empty.
func (r *fileReader) group(n *node, prefix string) {
	path := strings.TrimSuffix(prefix, ".")
	r.mapping(n, path, nil, "settings", func(key string, k, v *node) {
		full := prefix + key
		origin := Origin{FromFile, r.name, int(k.line), int(k.col)}
		switch s := find(full); {
		case strings.Contains(key, ".") || s == nil && !isGroup(full):
			r.fault(k, full, "%s", unknownSetting(key, prefix))
		case s == nil:
			if !v.null() {
				r.group(v, full+".")
			}
		default:
			value, err := fromNode(s, v, origin)
			if err != nil {
				r.fault(k, full, "%s", err)
				return
			}
			r.values[full] = value
		}
	})
}

// isGroup tells whether keys stand below the path.
func isGroup(path string) bool {
	for _, p := range paths {
		if strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}

// unknownSetting is the text for a key that is not known, with what it may have been meant to be: a key of the same
// group, or the same name in another one.
func unknownSetting(key, prefix string) string {
	if group, name, dotted := cutLast(key); dotted && find(prefix+key) != nil {
		return "unknown key: write " + name + " under " + group
	}
	var siblings []string
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, prefix); ok {
			name, _, _ := strings.Cut(rest, ".")
			if !contains(siblings, name) {
				siblings = append(siblings, name)
			}
		}
	}
	if k := nearest(key, siblings); k != "" {
		return "unknown key, did you mean " + k + "?"
	}
	for _, p := range paths {
		if squash(p) == squash(key) || squash(p[strings.LastIndexByte(p, '.')+1:]) == squash(key) {
			return "unknown key, did you mean " + p + "?"
		}
	}
	return "unknown key; known here are " + strings.Join(siblings, ", ")
}

// cutLast cuts a path at its last dot.
func cutLast(path string) (group, name string, found bool) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:], true
	}
	return "", path, false
}

// environment is the third layer.
func (l *loader) environment(o LoadOptions) {
	values := map[string]raw{}
	for _, variable := range o.Environ {
		name, value, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || name == fileEnv || strings.HasPrefix(name, secretPrefix) || contains(o.Reserved, name) {
			continue
		}
		origin := Origin{Layer: FromEnv, Name: name}
		path := strings.ReplaceAll(strings.ToLower(rest), "__", ".")
		s := find(path)
		if s == nil && serviceLink(name, o.Environ) {
			continue
		}
		if s == nil || rest != strings.ToUpper(rest) {
			l.fault(origin, "", unknownVariable(rest))
			continue
		}
		r, err := fromText(s, value, origin)
		if err != nil {
			l.refuse(origin, path, err)
			continue
		}
		values[path] = r
	}
	l.merge(values)
}

// serviceLink tells whether Kubernetes set the variable for a Service that is named bellhop: in a pod, BELLHOP_SERVICE_HOST,
// BELLHOP_PORT, BELLHOP_PORT_8420_TCP_ADDR and their like are nobody's mistake.
func serviceLink(name string, environ []string) bool {
	if !strings.HasPrefix(name, "BELLHOP_SERVICE_") && name != "BELLHOP_PORT" && !strings.HasPrefix(name, "BELLHOP_PORT_") {
		return false
	}
	return slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "KUBERNETES_SERVICE_HOST=") })
}

// Variable is the environment variable of a key: BELLHOP_NATS__URL of nats.url.
func Variable(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "__"))
}

// unknownVariable is the text for a BELLHOP_ variable that is no key.
func unknownVariable(rest string) string {
	if p := nearest(strings.ReplaceAll(strings.ToLower(rest), "__", "."), paths); p != "" {
		return "no key of the configuration, did you mean " + Variable(p) + "?"
	}
	return "no key of the configuration: bellhop config show lists them"
}

// flags is the last layer.
func (l *loader) flags(set *pflag.FlagSet) {
	if set == nil {
		return
	}
	values := map[string]raw{}
	set.Visit(func(f *pflag.Flag) {
		v, ours := f.Value.(*flagValue)
		if !ours {
			return
		}
		origin := Origin{Layer: FromFlag, Name: v.setting.Path}
		r, err := fromText(v.setting, v.text, origin)
		if err != nil {
			l.refuse(origin, v.setting.Path, err)
			return
		}
		values[v.setting.Path] = r
	})
	l.merge(values)
}

// fromText makes a value of text as it stands in variables and flags: lists are comma separated, or YAML in brackets.
func fromText(s *setting, text string, origin Origin) (raw, error) {
	if s.Type != "list" && s.Type != "lanes" {
		return raw{text: text, origin: origin}, nil
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		docs, err := parseYAML(text)
		if err != nil || len(docs) != 1 {
			return raw{}, errors.New("no valid list in brackets, such as [a, b]")
		}
		return fromNode(s, docs[0], origin)
	}
	r := raw{isList: true, origin: origin}
	if text == "" {
		return r, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		r.list = append(r.list, strings.TrimSpace(part))
	}
	return r, nil
}

// fromNode makes a value of a node.
func fromNode(s *setting, n *node, origin Origin) (raw, error) {
	isList := s.Type == "list" || s.Type == "lanes"
	switch {
	case n.null():
		return raw{}, errors.New(`no value: write "" for none, or leave the key out for its default`)
	case n.kind == mappingNode, n.kind == listNode && !isList:
		belongs := "a single value"
		if isList {
			belongs = "a list"
		}
		return raw{}, errors.New(n.describe() + ", but " + belongs + " belongs here")
	case !isList:
		return raw{text: n.text, origin: origin}, nil
	case n.kind == scalarNode:
		if n.text == "" {
			return raw{isList: true, origin: origin}, nil
		}
		return raw{isList: true, list: []string{n.text}, origin: origin}, nil
	case s.Type == "lanes":
		return raw{isList: true, node: n, origin: origin}, nil
	}
	r := raw{isList: true, list: []string{}, origin: origin}
	for _, item := range n.items {
		if item.kind != scalarNode || item.null() {
			return raw{}, errors.New(item.describe() + " in the list, but single values belong there")
		}
		r.list = append(r.list, item.text)
	}
	return r, nil
}
