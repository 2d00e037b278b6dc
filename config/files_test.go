package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bellhop/dispatcher/rule"
)

// tree writes files below a new folder and makes it the working directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestLoadRulesFindsFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		"rules/b.yaml": "# b", "rules/a.yml": "# a", "rules/sub/c.YAML": "# c", "rules/readme.md": "no", "rules/.hidden.yaml": "# hidden",
		"rules/.git/d.yaml": "no", "more.txt": "# more", "elsewhere/e.yaml": "# e",
		"mounted/..2024/f.yaml": "# f",
	})
	link(t, "../elsewhere", "rules/link")
	link(t, "..", "rules/sub/loop")
	link(t, "../elsewhere/e.yaml", "rules/z.yaml")
	link(t, "nowhere", "rules/broken")
	link(t, "..2024", "mounted/..data")
	link(t, "..data/f.yaml", "mounted/f.yaml")
	for _, c := range []struct {
		paths    []string
		want     []string
		problems string
	}{
		{[]string{"./rules"}, []string{"rules/a.yml", "rules/b.yaml", "rules/link/e.yaml", "rules/sub/c.YAML"}, ""},
		{[]string{"more.txt", "rules/b.yaml", "rules"}, []string{"more.txt", "rules/b.yaml", "rules/a.yml", "rules/link/e.yaml", "rules/sub/c.YAML"}, ""},
		{[]string{"rules/.hidden.yaml"}, []string{"rules/.hidden.yaml"}, ""},
		{[]string{"mounted"}, []string{"mounted/f.yaml"}, ""},
		{[]string{dir + "/elsewhere", "elsewhere/e.yaml"}, []string{dir + "/elsewhere/e.yaml"}, ""},
		{[]string{"gone", "rules/b.yaml", "gone.yaml"}, []string{"rules/b.yaml"},
			"gone:1:1: no such file or folder\ngone.yaml:1:1: no such file or folder\n"},
		{nil, nil, ""},
	} {
		defs, problems := loadRules(c.paths)
		var got []string
		for _, f := range defs.Files {
			got = append(got, f.Path)
		}
		if !reflect.DeepEqual(got, c.want) || lines(problems) != c.problems {
			t.Errorf("loadRules(%q) reads %q with problems %q, want %q and %q", c.paths, got, lines(problems), c.want, c.problems)
		}
	}
}

func TestLoadRulesReportsAllFiles(t *testing.T) {
	tree(t, map[string]string{"rules/a.yaml": "rules: x", "rules/b.yaml": "\t", "rules/c.yaml": "rules: [{name: ok}]"})
	link(t, "nowhere", "rules/d.yaml")
	_, problems := loadRules([]string{"rules"})
	got := lines(problems)
	for _, want := range []string{"rules/a.yaml:1:8: rules: ", "rules/c.yaml:1:9: rules[0].on: ", "rules/d.yaml:1:1: cannot be read: no such file"} {
		if !strings.Contains(got, want) {
			t.Errorf("problems lack %q:\n%s", want, got)
		}
	}
}

func TestSecrets(t *testing.T) {
	dir := tree(t, map[string]string{
		"secrets/..2024/mounted": "m\n", "secrets/plain": "p", "secrets/two": "t\n\n", "secrets/crlf": "c\r\n", "secrets/empty": "",
		"secrets/sub/x": "no", "outside": "hunter2", "secrets/large": strings.Repeat("x", maxSecretSize+1),
	})
	link(t, "..2024", "secrets/..data")
	link(t, "..data/mounted", "secrets/mounted")
	link(t, "../outside", "secrets/escape")
	link(t, dir+"/outside", "secrets/absolute")
	env := map[string]string{"BELLHOP_SECRET_CRM": "e", "BELLHOP_SECRET_EMPTY": "", "HOME": "hunter2"}
	secret := Secrets("secrets", func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	for _, c := range []struct {
		name string
		file bool
		want string
		fail string
	}{
		{"CRM", false, "e", ""},
		{"EMPTY", false, "", ""},
		{"HOME", false, "", "the environment variable BELLHOP_SECRET_HOME is not set"},
		{"plain", true, "p", ""},
		{"mounted", true, "m", ""},
		{"two", true, "t\n", ""},
		{"crlf", true, "c", ""},
		{"empty", true, "", ""},
		{"gone", true, "", `secret file "gone" does not exist in secrets`},
		{"escape", true, "", `secret file "escape" in secrets: `},
		{"absolute", true, "", `secret file "absolute" in secrets: `},
		{"../outside", true, "", "plain name"},
		{"sub/x", true, "", "plain name"},
		{"..", true, "", "plain name"},
		{"", true, "", "plain name"},
		{"sub", true, "", "not a regular file"},
		{"large", true, "", "more than 65536 bytes"},
	} {
		got, err := secret(c.name, c.file)
		switch {
		case c.fail == "" && (err != nil || got != c.want):
			t.Errorf("secret %q is %q, %v, want %q", c.name, got, err, c.want)
		case c.fail != "" && (err == nil || !strings.Contains(err.Error(), c.fail) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("secret %q fails with %v, want %q", c.name, err, c.fail)
		}
	}
	if _, err := Secrets("gone", nil)("x", true); err == nil || !strings.Contains(err.Error(), "secrets_dir gone does not exist") {
		t.Errorf("a missing folder of secrets gives %v", err)
	}
}

// loadRules reads and parses rule files.
func loadRules(paths []string) (*rule.Definitions, []rule.Problem) {
	files, problems := ReadRules(paths)
	defs, more := ParseRules(files)
	return defs, append(problems, more...)
}
