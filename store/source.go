package store

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"bellhop/dispatcher/rule"
)

// maxSource bounds the text of one rule set, packed or not: far above 100,000 rules, which are some 25 MB.
const maxSource = 1 << 30

// source is the text of a rule set's files as one piece of bytes: for each file the length of its path, its path, the
// length of its text, its text. Bytes stay as they are, whatever their encoding.
type source []byte

// packing is files whose text is to be packed: written where it goes, a piece at a time, since it may be of many megabytes.
type packing []rule.SourceFile

func pack(files []rule.SourceFile) (packing, error) {
	n := 0
	for _, f := range files {
		n += len(f.Path) + len(f.Text) + 2*binary.MaxVarintLen64
	}
	if n > maxSource {
		return nil, fmt.Errorf("the rule files are of %d bytes together, at most %d", n, maxSource)
	}
	return files, nil
}

// pieceSize is how much of a text is copied at a time.
const pieceSize = 64 << 10

// write writes the packed text.
func (p packing) write(w io.Writer) error {
	out := bufio.NewWriterSize(w, pieceSize)
	for _, f := range p {
		for _, text := range []string{f.Path, f.Text} {
			if _, err := out.Write(binary.AppendUvarint(out.AvailableBuffer(), uint64(len(text)))); err != nil {
				return err
			}
			if _, err := out.WriteString(text); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// key is the SHA-256 of the packed text, so that versions with the same text share it.
func (p packing) key() string {
	sum := sha256.New()
	_ = p.write(sum) // a sum takes everything
	return hex.EncodeToString(sum.Sum(nil))
}

// key is the SHA-256 of the text.
func (src source) key() string {
	sum := sha256.Sum256(src)
	return hex.EncodeToString(sum[:])
}

// textSum is a sum over the files' texts, wherever they are read from and in whatever order.
func textSum(files []rule.SourceFile) string {
	sums := make([]string, len(files))
	sum := sha256.New()
	out := bufio.NewWriterSize(sum, pieceSize)
	for i, f := range files {
		sum.Reset()
		_, _ = out.WriteString(f.Text) // a sum takes everything
		_ = out.Flush()
		sums[i] = string(sum.Sum(nil))
	}
	slices.Sort(sums)
	all := sha256.Sum256([]byte(strings.Join(sums, "")))
	return hex.EncodeToString(all[:])
}

func (src source) files() ([]rule.SourceFile, error) {
	var files []rule.SourceFile
	next := func() (string, error) {
		n, used := binary.Uvarint(src)
		if used <= 0 || n > uint64(len(src)-used) {
			return "", errors.New("a file's length is wrong")
		}
		text := string(src[used : used+int(n)])
		src = src[used+int(n):]
		return text, nil
	}
	for len(src) > 0 {
		path, err := next()
		if err != nil {
			return nil, err
		}
		text, err := next()
		if err != nil {
			return nil, err
		}
		files = append(files, rule.SourceFile{Path: path, Text: text})
	}
	return files, nil
}

// compress prefers speed: a change of rules is in force within 2 s, of which compiling wants the most.
func (p packing) compress() ([]byte, error) {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := p.write(z); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// expand undoes compress, and makes sure that the text is the one that the key stands for.
func expand(key string, blob []byte) (source, error) {
	z, err := gzip.NewReader(bytes.NewReader(blob))
	if err != nil {
		return nil, fmt.Errorf("%w: the text of a rule set: %w", ErrDamaged, err)
	}
	src, err := io.ReadAll(io.LimitReader(z, maxSource+1))
	if err != nil {
		return nil, fmt.Errorf("%w: the text of a rule set: %w", ErrDamaged, err)
	}
	if len(src) > maxSource || source(src).key() != key {
		return nil, fmt.Errorf("%w: the text of a rule set is not the one that was stored", ErrDamaged)
	}
	return src, nil
}

// hasSource tells whether the store has a text already.
func (s *Store) hasSource(key string) (has bool, err error) {
	err = s.view("read versions", func(tx *bolt.Tx) error {
		b, err := bucket(tx, bucketSources)
		if err != nil {
			return err
		}
		has = b.Get([]byte(key)) != nil
		return nil
	})
	return has, err
}

// dropSource removes a text that no version refers to any more.
func dropSource(tx *bolt.Tx, key string) error {
	used := false
	err := eachVersion(tx, func(r versionRecord) bool {
		used = r.Source == key
		return !used
	})
	if err != nil || used {
		return err
	}
	b, err := bucket(tx, bucketSources)
	if err != nil {
		return err
	}
	return b.Delete([]byte(key))
}
