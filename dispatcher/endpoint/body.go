package endpoint

import (
	"bytes"
	"errors"
)

const (
	maxChunkLine = 4 << 10
	// wireLimit bounds what is read for a body of chunks: a byte in each costs six on the wire.
	wireLimit = 2 * readLimit
)

var (
	errChunk    = errors.New("malformed chunk")
	errBodySize = errors.New("the body is longer than is read")
)

// body reads a response's body up to 16 KiB and keeps its first 1 KiB.
type body struct {
	r    *reader
	kept []byte // with room for keepLimit
	n    int    // how many bytes there were, so far
}

// read reads as far as the attempt's deadline lets it. It returns nil where the body was read to its end, and nothing
// else: only then can the connection be used again.
func (b *body) read(h head) error {
	switch {
	case h.chunked:
		return b.chunks()
	case h.length > 0:
		return b.some(h.length)
	case h.length == 0:
		return nil
	}
	for {
		if err := b.some(1 << 62); err != nil {
			return err
		}
	}
}

// some takes n bytes of body.
func (b *body) some(n int64) error {
	for n > 0 {
		if b.n >= readLimit {
			return errBodySize
		}
		if b.r.r == b.r.w {
			if err := b.r.fill(); err != nil {
				return unexpected(err)
			}
		}
		data := b.r.buf[b.r.r:b.r.w]
		data = data[:min(int64(len(data)), n, int64(readLimit-b.n))]
		b.kept = append(b.kept, data[:min(len(data), keepLimit-len(b.kept))]...)
		b.n += len(data)
		b.r.r += len(data)
		n -= int64(len(data))
	}
	return nil
}

// chunks reads a body in the chunked coding (RFC 9112, 7.1), and the trailers behind it.
func (b *body) chunks() error {
	b.r.left = wireLimit
	for {
		line, err := b.chunkLine()
		if err != nil {
			return err
		}
		size, ok := chunkSize(line)
		if !ok {
			return errChunk
		}
		if size == 0 {
			break
		}
		if err := b.some(size); err != nil {
			return err
		}
		if line, err = b.chunkLine(); err != nil {
			return err
		}
		if len(line) > 0 {
			return errChunk
		}
	}
	// Trailers say nothing here, but the next response begins behind them: what is no trailer puts the place in doubt.
	for first := true; ; first = false {
		line, err := b.r.line()
		if err != nil || len(line) == 0 {
			return err
		}
		if first && isSpace(line[0]) {
			return errMalformed
		}
		if line, err = b.r.unfold(line); err != nil {
			return err
		}
		if _, _, ok := splitField(line); !ok {
			return errMalformed
		}
	}
}

// chunkLine gives a line that ends in CRLF and nothing less: what others take for the end of a chunk must be one here.
func (b *body) chunkLine() ([]byte, error) {
	line, err := b.r.line()
	if err != nil {
		return nil, err
	}
	end := line[:cap(line)]
	if len(line) >= maxChunkLine || len(end) <= len(line) || end[len(line)] != '\r' || bytes.IndexByte(line, '\r') >= 0 {
		return nil, errChunk
	}
	return line, nil
}

// chunkSize reads the size, in hex, before a chunk's extensions.
func chunkSize(line []byte) (int64, bool) {
	line, _, _ = bytes.Cut(line, []byte{';'})
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range line {
		d := hexDigit(c)
		if d < 0 {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, true
}
