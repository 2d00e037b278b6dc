package config

import (
	"fmt"
	"strings"
)

// Layer says which layer of the configuration a value comes from; later ones win.
type Layer uint8

// The layers.
const (
	FromDefault Layer = iota
	FromFile
	FromEnv
	FromFlag
)

// Origin is where a value was set. The zero Origin is the default.
type Origin struct {
	Layer        Layer
	Name         string // the file's path, the variable's or the flag's name
	Line, Column int    // of the key, in a file; 0 for the file as a whole
}

// String gives default, bellhop.yaml:7, env BELLHOP_NATS__URL or flag --nats.url.
func (o Origin) String() string {
	switch o.Layer {
	case FromFile:
		if o.Line == 0 {
			return o.Name
		}
		return fmt.Sprintf("%s:%d", o.Name, o.Line)
	case FromEnv:
		return "env " + o.Name
	case FromFlag:
		return "flag --" + o.Name
	default:
		return "default"
	}
}

// place is the origin as errors begin: bellhop.yaml:7:3, BELLHOP_NATS__URL or --nats.url.
func (o Origin) place() string {
	switch {
	case o.Layer == FromFlag:
		return "--" + o.Name
	case o.Layer == FromFile && o.Line > 0:
		return fmt.Sprintf("%s:%d:%d", o.Name, o.Line, o.Column)
	case o.Layer == FromDefault:
		return "default"
	default:
		return o.Name
	}
}

// Problem is one thing wrong with the configuration. Its text never holds a secret.
type Problem struct {
	Origin Origin
	Path   string // nats.replicas; "" for a file or variable as a whole
	Text   string
}

// String gives bellhop.yaml:7:3: nats.replicas: 9, at most 5.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Origin.place() + ": " + p.Text
	}
	return p.Origin.place() + ": " + p.Path + ": " + p.Text
}

// Problems is the error of a configuration that is not valid: all that is wrong with it, in the order of the layers.
type Problems struct{ List []Problem }

// Error gives one problem a line.
func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, one := range p.List {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}
