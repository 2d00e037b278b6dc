package store

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"bellhop/dispatcher/rule"
)

func TestSourceKeepsEveryByte(t *testing.T) {
	for _, files := range [][]rule.SourceFile{
		nil,
		{{}},
		{{Path: "a.yaml"}},
		{{Path: "b.yaml", Text: "x"}, {Path: "a.yaml", Text: "\r\n\x00"}},
		{{Path: "caf\xe9.yaml", Text: "\xff\xfe not UTF-8"}, {Path: "", Text: "é"}},
	} {
		src, err := pack(files)
		if err != nil {
			t.Fatal(err)
		}
		blob, err := src.compress()
		if err != nil {
			t.Fatal(err)
		}
		back, err := expand(src.key(), blob)
		if err != nil {
			t.Fatalf("expand(%q) = %v, want the text", files, err)
		}
		if got, err := back.files(); err != nil || !slices.Equal(got, files) {
			t.Errorf("files put as %q come back as %q, %v", files, got, err)
		}
	}
}

func TestExpandRefusesAnotherText(t *testing.T) {
	src, err := pack(files("one"))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := src.compress()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := expand(source("other").key(), blob); !errors.Is(err, ErrDamaged) {
		t.Errorf("expand under another text's key = %v, want ErrDamaged", err)
	}
	for cut := range blob {
		if _, err := expand(src.key(), blob[:cut]); !errors.Is(err, ErrDamaged) {
			t.Errorf("expand of the first %d bytes of %d = %v, want ErrDamaged", cut, len(blob), err)
		}
	}
}

func packed(t testing.TB, p packing) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzSource(f *testing.F) {
	src, err := pack(files("seed"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed(f, src))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := source(data).files()
		if err != nil {
			return
		}
		again, err := pack(files)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := source(packed(t, again)).files(); err != nil || !slices.Equal(back, files) {
			t.Errorf("files %q come back as %q, %v", files, back, err)
		}
	})
}
