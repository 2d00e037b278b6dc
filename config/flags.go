package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// RegisterFlags adds a flag for every key, named by its path: --nats.url. NormalizeFlag makes other spellings work; it is
// set on the flag set here.
func RegisterFlags(set *pflag.FlagSet) {
	set.SetNormalizeFunc(NormalizeFlag)
	for i := range table {
		s := &table[i]
		f := set.VarPF(&flagValue{setting: s, text: s.Default}, s.Path, "", s.Doc)
		if s.Type == "boolean" {
			f.NoOptDefVal = "true"
		}
	}
}

// NormalizeFlag lets a key's flag be spelled with dashes or underscores for its dots and underscores: --nats-url,
// --data-dir. Other flags keep their names.
func NormalizeFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if path, ok := spellings[flagSpelling(name)]; ok {
		return pflag.NormalizedName(path)
	}
	return pflag.NormalizedName(name)
}

// spellings finds a key by its flag's spelling.
var spellings = func() map[string]string {
	out := make(map[string]string, len(table))
	for _, s := range table {
		out[flagSpelling(s.Path)] = s.Path
	}
	return out
}()

// flagSpelling is the same for all spellings of one flag.
func flagSpelling(name string) string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(name)
}

// flagValue is a key's flag. It takes any text: what is wrong with it is told by Load, with all the rest.
type flagValue struct {
	setting *setting
	text    string
	set     bool
}

// String gives the text.
func (v *flagValue) String() string { return v.text }

// Set takes the text; a list's flag may be repeated.
func (v *flagValue) Set(text string) error {
	if v.set && v.setting.Type == "list" && !strings.HasPrefix(v.text, "[") && !strings.HasPrefix(text, "[") {
		text = v.text + "," + text
	}
	v.text, v.set = text, true
	return nil
}

// Type names the type in usage texts.
func (v *flagValue) Type() string {
	if strings.Contains(v.setting.Type, "|") {
		return "word"
	}
	if v.setting.Type == "boolean" {
		return "bool" // pflag leaves this one out of the usage line
	}
	return v.setting.Type
}
