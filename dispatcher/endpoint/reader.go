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
func (r *reader) fill() error {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		if len(r.buf) >= maxHeaderBytes {
			return errTooLong
		}
		bigger := make([]byte, min(2*len(r.buf), maxHeaderBytes))
		copy(bigger, r.buf[:r.w])
		r.buf = bigger
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
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
func (r *reader) line() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(r.buf[r.r+seen:r.w], '\n'); i >= 0 {
			line := r.buf[r.r : r.r+seen+i]
			r.r += seen + i + 1
			if r.left -= len(line) + 1; r.left < 0 {
				return nil, errHeadTooLong
			}
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if seen = r.w - r.r; seen > r.left {
			return nil, errHeadTooLong
		}
		if err := r.fill(); err != nil {
			if errors.Is(err, errTooLong) {
				err = errHeadTooLong
			}
			return nil, unexpected(err)
		}
	}
}

// unfold joins a header's line with those that continue it (RFC 9112, 5.2), each parted by a space.
func (r *reader) unfold(line []byte) ([]byte, error) {
	line = trimSpace(line)
	joined := false
	for {
		if r.r == r.w {
			if !joined { // fill moves what line points to
				line, joined = bytes.Clone(line), true
			}
			if err := r.fill(); err != nil {
				return nil, unexpected(err)
			}
		}
		if !isSpace(r.buf[r.r]) {
			return line, nil
		}
		if !joined {
			line, joined = bytes.Clone(line), true
		}
		next, err := r.line()
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
