package endpoint

import (
	"bytes"
	"errors"
	"io"
)

// errTooLong says that a line does not fit where it may be.
var errTooLong = errors.New("line too long")

// source is what a reader reads from.
type source interface {
	Read(b []byte) (int, error)
}

// reader reads one response, in place, out of a buffer that is no larger than the longest line needs.
type reader struct {
	src  source
	buf  []byte // starts as a pooled one
	r, w int    // what has been read and not consumed: buf[r:w]
	left int    // how many bytes lines may still take
}

// fill reads more, behind what is there. It makes room by moving, and then by doubling up to 64 KiB.
func (b *reader) fill() error {
	if b.r > 0 {
		b.w = copy(b.buf, b.buf[b.r:b.w])
		b.r = 0
	}
	if b.w == len(b.buf) {
		if len(b.buf) >= maxHeaderBytes {
			return errTooLong
		}
		bigger := make([]byte, min(2*len(b.buf), maxHeaderBytes))
		copy(bigger, b.buf[:b.w])
		b.buf = bigger
	}
	for range 100 {
		n, err := b.src.Read(b.buf[b.w:])
		b.w += n
		if n > 0 {
			return nil // the error comes again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// line gives the next line without its end, CRLF or LF alone. It is valid until the next call, and may be written to.
func (b *reader) line() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(b.buf[b.r+seen:b.w], '\n'); i >= 0 {
			line := b.buf[b.r : b.r+seen+i]
			b.r += seen + i + 1
			if b.left -= len(line) + 1; b.left < 0 {
				return nil, errHeadTooLong
			}
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if seen = b.w - b.r; seen > b.left {
			return nil, errHeadTooLong
		}
		if err := b.fill(); err != nil {
			if errors.Is(err, errTooLong) {
				err = errHeadTooLong
			}
			return nil, unexpected(err)
		}
	}
}

// unfold joins a header's line with those that continue it (RFC 9112, 5.2), each parted by a space.
func (b *reader) unfold(line []byte) ([]byte, error) {
	line = trimSpace(line)
	joined := false
	for {
		if b.r == b.w {
			if !joined { // fill moves what line points to
				line, joined = bytes.Clone(line), true
			}
			if err := b.fill(); err != nil {
				return nil, unexpected(err)
			}
		}
		if !isSpace(b.buf[b.r]) {
			return line, nil
		}
		if !joined {
			line, joined = bytes.Clone(line), true
		}
		next, err := b.line()
		if err != nil {
			return nil, err
		}
		line = append(line, ' ')
		line = append(line, trimSpace(next)...)
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
