package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bellhop/dispatcher/rule"
)

func files(text string) []rule.SourceFile {
	return []rule.SourceFile{{Path: "rules/a.yaml", Text: text}, {Path: "rules/b.yaml", Text: "# " + text}}
}

// put puts a rule set that reads text.
func put(t *testing.T, s *Store, digest, text string) Version {
	t.Helper()
	v, err := s.PutVersion(Version{Digest: digest, Files: files(text), Rules: len(text), Webhooks: 2 * len(text)})
	if err != nil {
		t.Fatalf("PutVersion(%s, %q) = %v, want it accepted", digest, text, err)
	}
	return v
}

func rollback(t *testing.T, s *Store, number uint64) Version {
	t.Helper()
	v, err := s.Rollback(number)
	if err != nil {
		t.Fatalf("Rollback(%d) = %v, want it done", number, err)
	}
	return v
}

// history gives the entries as text, the newest first: number, digest, origin.
func history(t *testing.T, s *Store) string {
	t.Helper()
	all, err := s.History()
	if err != nil {
		t.Fatalf("History() = %v", err)
	}
	var lines []string
	for _, v := range all {
		if v.Files != nil {
			t.Errorf("History() carries the files of version %d", v.Number)
		}
		line := fmt.Sprintf("%d:%s", v.Number, v.Digest[:4])
		if v.Origin == OriginRollback {
			line += fmt.Sprintf("<-%d", v.Of)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, " ")
}

func wantHistory(t *testing.T, s *Store, when, want string) {
	t.Helper()
	if got := history(t, s); got != want {
		t.Errorf("%s: history = %s, want %s", when, got, want)
	}
}

func wantHeld(t *testing.T, s *Store, when, want string) {
	t.Helper()
	if digest, ok := s.RolledBackFrom(); digest != want || ok != (want != "") {
		t.Errorf("%s: RolledBackFrom() = %q, %v, want %q", when, digest, ok, want)
	}
}

const (
	digestA = "aaaa00000001"
	digestB = "bbbb00000002"
	digestC = "cccc00000003"
)

func TestPutVersion(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	if _, err := s.Current(); !errors.Is(err, ErrNoVersion) {
		t.Errorf("Current() of a new store = %v, want ErrNoVersion", err)
	}
	wantHistory(t, s, "at first", "")

	a := put(t, s, digestA, "one")
	if a.Number != 1 || a.Origin != OriginFiles || a.Rules != 3 || a.Webhooks != 6 || !slices.Equal(a.Files, files("one")) {
		t.Errorf("the first PutVersion = %+v, want version 1 as it was put", a)
	}
	if again := put(t, s, digestA, "one"); again.Number != 1 || !again.At.Equal(a.At) {
		t.Errorf("the same rules again = %+v, want version 1 of %v", again, a.At)
	}
	reworded := put(t, s, digestA, "one # reworded")
	if reworded.Number != 1 || !reworded.At.Equal(a.At) || !slices.Equal(reworded.Files, files("one # reworded")) {
		t.Errorf("the same rules in other words = %+v, want version 1 with the new text", reworded)
	}
	put(t, s, digestB, "two")
	put(t, s, digestA, "one")
	wantHistory(t, s, "after A, B, A", "3:aaaa 2:bbbb 1:aaaa")

	closeStore(t, s)
	s = openStore(t, path, Options{})
	cur, err := s.Current()
	if err != nil || cur.Number != 3 || !slices.Equal(cur.Files, files("one")) {
		t.Errorf("Current() after reopening = %+v, %v, want version 3 and its files", cur, err)
	}
	if got := put(t, s, digestA, "one"); got.Number != 3 || !got.At.Equal(cur.At) {
		t.Errorf("the same rules after reopening = %+v, want version 3 of %v", got, cur.At)
	}
	if v, err := s.Get("1"); err != nil || !slices.Equal(v.Files, files("one # reworded")) {
		t.Errorf("Get(1) = %+v, %v, want the text last put for it", v, err)
	}
}

func TestPutVersionKeepsTimesAsGiven(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	at := time.Date(2026, 5, 1, 10, 0, 0, 42, time.FixedZone("EEST", 3*3600))
	v, err := s.PutVersion(Version{Digest: digestA, At: at})
	if err != nil || !v.At.Equal(at) {
		t.Errorf("PutVersion at %v = %v, %v, want that time", at, v.At, err)
	}
	if cur, err := s.Current(); err != nil || !cur.At.Equal(at) || cur.Files != nil {
		t.Errorf("Current() = %+v, %v, want no files, at %v", cur, err, at)
	}
}

func TestPutVersionRefusesABadDigest(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	for _, digest := range []string{"", "aaaa", "AAAA00000001", "aaaa0000000g", "aaaa000000011"} {
		if _, err := s.PutVersion(Version{Digest: digest}); err == nil || !strings.Contains(err.Error(), "12 hex digits") {
			t.Errorf("PutVersion(%q) = %v, want an error about the digest", digest, err)
		}
	}
}

func TestRollbackHoldsUntilTheFilesChange(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{})
	put(t, s, digestA, "one")
	put(t, s, digestB, "two")
	wantHeld(t, s, "before a rollback", "")

	v := rollback(t, s, 1)
	if v.Number != 3 || v.Digest != digestA || v.Origin != OriginRollback || v.Of != 1 || v.Rules != 3 ||
		!slices.Equal(v.Files, files("one")) {
		t.Errorf("Rollback(1) = %+v, want version 3 with the rules of version 1", v)
	}
	wantHeld(t, s, "after the rollback", digestB)

	closeStore(t, s)
	s = openStore(t, path, Options{})
	wantHeld(t, s, "after a restart", digestB)
	if got := put(t, s, digestB, "two"); got.Number != 3 || !slices.Equal(got.Files, files("one")) {
		t.Errorf("PutVersion(%s, two) under a rollback from it = %+v, want version 3, held", digestB, got)
	}
	wantHistory(t, s, "held", "3:aaaa<-1 2:bbbb 1:aaaa")

	put(t, s, digestC, "three")
	wantHeld(t, s, "after the files changed", "")
	wantHistory(t, s, "after the files changed", "4:cccc 3:aaaa<-1 2:bbbb 1:aaaa")

	put(t, s, digestB, "two")
	wantHistory(t, s, "after the files went back", "5:bbbb 4:cccc 3:aaaa<-1 2:bbbb 1:aaaa")
}

func TestRollbackHoldsWhenDefaultsChangeTheDigest(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	put(t, s, digestA, "one")
	put(t, s, digestB, "two")
	rollback(t, s, 1)
	if got := put(t, s, digestC, "two"); got.Digest != digestA {
		t.Errorf("PutVersion of unchanged files under another digest = %+v, want the rollback held", got)
	}
	wantHeld(t, s, "after the digest changed", digestC)
}

func TestRollbackHoldsWhenTheFilesMove(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	put(t, s, digestA, "one")
	put(t, s, digestB, "two")
	rollback(t, s, 1)
	moved := files("two")
	for i := range moved {
		moved[i].Path = "/etc/bellhop/" + moved[i].Path
	}
	if got, err := s.PutVersion(Version{Digest: digestB, Files: moved}); err != nil || got.Digest != digestA {
		t.Errorf("PutVersion of the same files by another path = %+v, %v, want the rollback held", got, err)
	}
}

func TestRollbackEnds(t *testing.T) {
	setUp := func(t *testing.T) *Store {
		s := openStore(t, dbPath(t), Options{})
		put(t, s, digestA, "one")
		put(t, s, digestB, "two")
		put(t, s, digestC, "three")
		rollback(t, s, 1)
		return s
	}
	t.Run("by another comment", func(t *testing.T) {
		s := setUp(t)
		if v := put(t, s, digestC, "three # in other words"); v.Number != 5 || v.Digest != digestC {
			t.Errorf("PutVersion of the same rules in other words = %+v, want them in force as version 5", v)
		}
		wantHeld(t, s, "afterwards", "")
	})
	t.Run("by files that mean what it went back to", func(t *testing.T) {
		s := setUp(t)
		if v := put(t, s, digestA, "one"); v.Number != 4 {
			t.Errorf("PutVersion of the rules in force = version %d, want 4", v.Number)
		}
		wantHeld(t, s, "afterwards", "")
		put(t, s, digestC, "three")
		wantHistory(t, s, "when the files change back", "5:cccc 4:aaaa<-1 3:cccc 2:bbbb 1:aaaa")
	})
	t.Run("by going back to what the files say", func(t *testing.T) {
		s := setUp(t)
		rollback(t, s, 3)
		wantHeld(t, s, "afterwards", "")
		put(t, s, digestC, "three")
		wantHistory(t, s, "afterwards", "5:cccc<-3 4:aaaa<-1 3:cccc 2:bbbb 1:aaaa")
	})
	t.Run("not by another rollback", func(t *testing.T) {
		s := setUp(t)
		rollback(t, s, 2)
		wantHeld(t, s, "afterwards", digestC)
		wantHistory(t, s, "afterwards", "5:bbbb<-2 4:aaaa<-1 3:cccc 2:bbbb 1:aaaa")
	})
	t.Run("not by going back to what is in force", func(t *testing.T) {
		s := setUp(t)
		if v := rollback(t, s, 1); v.Number != 4 {
			t.Errorf("Rollback to the rules in force = version %d, want 4 as it was", v.Number)
		}
		wantHeld(t, s, "afterwards", digestC)
	})
}

func TestRollbackToTheCurrentVersionHoldsNothing(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	put(t, s, digestA, "one")
	rollback(t, s, 1)
	wantHeld(t, s, "after a rollback to the current version", "")
	wantHistory(t, s, "after a rollback to the current version", "1:aaaa")
	if _, err := s.Rollback(7); !errors.Is(err, ErrNoVersion) {
		t.Errorf("Rollback(7) = %v, want ErrNoVersion", err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{KeepVersions: 3})
	for i := 1; i <= 10; i++ {
		put(t, s, fmt.Sprintf("%04x00000000", i), fmt.Sprint("text ", i))
	}
	wantHistory(t, s, "after ten versions, three kept", "10:000a 9:0009 8:0008")
	rollback(t, s, 8)
	wantHistory(t, s, "after a rollback to the oldest", "11:0008<-8 10:000a 9:0009")
	if v, err := s.Current(); err != nil || !slices.Equal(v.Files, files("text 8")) {
		t.Errorf("Current() = %+v, %v, want the text of version 8, which is gone", v, err)
	}
	closeStore(t, s)

	s = openStore(t, path, Options{KeepVersions: 1})
	put(t, s, digestA, "one")
	wantHistory(t, s, "with one kept", "12:aaaa")
	_, err := s.Get("11")
	if want := "no such version of the rules: 11 (the store keeps 12 to 12)"; err == nil || err.Error() != want {
		t.Errorf("Get(11) = %v, want %q", err, want)
	}
}

func TestGet(t *testing.T) {
	s := openStore(t, dbPath(t), Options{})
	_, err := s.Get("1")
	if want := "no such version of the rules: 1 (no rules were accepted yet)"; err == nil || err.Error() != want {
		t.Errorf("Get(1) of a new store = %v, want %q", err, want)
	}
	for i, digest := range []string{"abcd00000001", "abcd11110002", "123400000003", "abcd00000001", "000500000005"} {
		put(t, s, digest, fmt.Sprint("text ", i+1))
	}
	tests := []struct {
		ref  string
		want uint64 // 0: ErrNoVersion
		text string // in the error
	}{
		{ref: "1", want: 1},
		{ref: "5", want: 5},
		{ref: "0005", want: 5},
		{ref: "00050", want: 5},
		{ref: "0001", want: 1},
		{ref: "abcd0", want: 4},
		{ref: "ABCD1", want: 2},
		{ref: "abcd11110002", want: 2},
		{ref: "1234", want: 3},
		{ref: "123400000003", want: 3},
		{ref: "abcd", text: `"abcd" may be abcd00000001 or abcd11110002: give more digits`},
		{ref: "abc", text: "neither a number"},
		{ref: "", text: "neither a number"},
		{ref: "v1", text: "neither a number"},
		{ref: "-1", text: "neither a number"},
		{ref: "latest", text: "neither a number"},
		{ref: "0", text: "0 (the store keeps 1 to 5)"},
		{ref: "6", text: "6 (the store keeps 1 to 5)"},
		{ref: "ffff", text: "ffff (the store keeps 1 to 5)"},
		{ref: "abcd000000010", text: "the store keeps"},
		{ref: "99999999999999999999999", text: "the store keeps"},
	}
	for _, tt := range tests {
		v, err := s.Get(tt.ref)
		switch {
		case tt.want == 0:
			if !errors.Is(err, ErrNoVersion) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Get(%q) = %d, %v, want ErrNoVersion with %q", tt.ref, v.Number, err, tt.text)
			}
		case err != nil || v.Number != tt.want:
			t.Errorf("Get(%q) = %d, %v, want version %d", tt.ref, v.Number, err, tt.want)
		case !slices.Equal(v.Files, files(fmt.Sprint("text ", tt.want))):
			t.Errorf("Get(%q) has the files %v, want those of version %d", tt.ref, v.Files, tt.want)
		}
	}
}

func TestHundredThousandRulesFit(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "  - name: rule-%d\n    on: course.completed\n    webhooks:\n      - endpoint: https://crm%d.example.com/hooks/done\n"+
			"        parameters: {student: \"@first_name @last_name\", course: \"@course_name\", n: \"%d\"}\n        secret: ${CRM_%d}\n",
			i, i%977, i*7919, i%13)
	}
	big := []rule.SourceFile{{Path: "big.yaml", Text: text.String()}}
	s := openStore(t, dbPath(t), Options{})
	if _, err := s.PutVersion(Version{Digest: digestA, Files: big}); err != nil {
		t.Fatalf("PutVersion of %d bytes = %v, want it accepted", text.Len(), err)
	}
	put(t, s, digestB, "two")
	rollback(t, s, 1)
	v, err := s.Get("1")
	if err != nil || !slices.Equal(v.Files, big) {
		t.Errorf("Get(1) = %v with %d files, want the text as it was put", err, len(v.Files))
	}
	if limit := int64(text.Len() / 2); s.Size() > limit {
		t.Errorf("the store takes %d bytes for a text of %d, want it compressed, and once", s.Size(), text.Len())
	}
}
