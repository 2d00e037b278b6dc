package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// ErrDamaged says that a file is no sound store: cut short, overwritten, or another program's. Nothing in it is changed.
var ErrDamaged = errors.New("damaged, or no Bellhop store")

// bbolt maps its file into memory and follows what stands there without asking whether it is within bounds, so that a
// damaged page is a fault and the end of the process. What follows reads the file as bbolt lays it out (version 2 of its
// format, in the machine's byte order) with plain reads, and refuses what bbolt could not walk safely.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeaderSize  = 16 // id 8, flags 2, count 2, overflow 4
	elementSize     = 16 // of a branch: pos 4, key size 4, page 8; of a leaf: flags 4, pos 4, key size 4, value size 4
	bucketSize      = 16 // root page 8, sequence 8; an inline page follows where the root is 0
	metaSize        = 64
	minPageSize     = 1 << 10
	maxPageSize     = 1 << 24
	noFreelist      = ^uint64(0)
	maxKeySize      = 1 << 15
	maxDepth        = 64 // pages from the root to a leaf, buckets in buckets included
	longFreelist    = 0xFFFF
	bucketEntryFlag = 1

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
)

var order = binary.NativeEndian

// header is a meta page's content: where everything else is.
type header struct {
	pageSize                   uint64
	root, freelist, pages, txn uint64
}

// fileVerifier walks one file.
type fileVerifier struct {
	r io.ReaderAt
	h header
	// One bit a page: reached from the root, and free.
	seen, free bitmap
}

// verifyFile refuses a file that bbolt could not open and walk without a fault. It reads the keys and not the values,
// so that it costs little beside large values.
func verifyFile(r io.ReaderAt, size int64) error {
	v := &fileVerifier{r: r}
	if err := v.verify(size); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

func (v *fileVerifier) verify(size int64) error {
	var err error
	if v.h, err = readHeader(v.r, size); err != nil {
		return err
	}
	// Divided, not multiplied: the product of numbers out of a file may overflow.
	if have := uint64(size) / v.h.pageSize; v.h.pages > have {
		return fmt.Errorf("it is cut short: %d of %d pages are there", have, v.h.pages)
	}
	if v.h.pages < 4 {
		return fmt.Errorf("its header counts %d pages, of at least 4", v.h.pages)
	}
	v.seen, v.free = newBitmap(v.h.pages), newBitmap(v.h.pages)
	v.seen.set(0)
	v.seen.set(1)
	if v.h.freelist != noFreelist {
		if err := v.freelist(v.h.freelist); err != nil {
			return err
		}
	}
	return v.tree(v.h.root, nil, nil, 0)
}

// readHeader chooses the header that bbolt will: of the sound ones, that of the later transaction.
func readHeader(r io.ReaderAt, size int64) (header, error) {
	first, err0 := headerAt(r, size, 0)
	if err0 == nil {
		second, err := headerAt(r, size, int64(first.pageSize))
		if err == nil && second.pageSize != first.pageSize {
			return header{}, fmt.Errorf("its headers disagree about the size of a page: %d and %d", first.pageSize, second.pageSize)
		}
		if err == nil && second.txn > first.txn {
			return second, nil
		}
		return first, nil
	}
	// Without the first, where the second is depends on a size that only the second knows.
	for at := int64(minPageSize); at <= maxPageSize && at < size; at *= 2 {
		if h, err := headerAt(r, size, at); err == nil && h.pageSize == uint64(at) {
			return h, nil
		}
	}
	return header{}, err0
}

func headerAt(r io.ReaderAt, size, at int64) (header, error) {
	var whole [pageHeaderSize + metaSize]byte
	if size < at+int64(len(whole)) {
		return header{}, fmt.Errorf("%d bytes are too few", size)
	}
	if _, err := r.ReadAt(whole[:], at); err != nil {
		return header{}, fmt.Errorf("read its header: %w", err)
	}
	buf := whole[pageHeaderSize:]
	sum := fnv.New64a()
	_, _ = sum.Write(buf[:56])
	h := header{
		pageSize: uint64(order.Uint32(buf[8:])),
		root:     order.Uint64(buf[16:]),
		freelist: order.Uint64(buf[32:]),
		pages:    order.Uint64(buf[40:]),
		txn:      order.Uint64(buf[48:]),
	}
	switch {
	case whole == [len(whole)]byte{}:
		return header{}, errors.New("its header is all zeros")
	case order.Uint32(buf) != boltMagic:
		return header{}, errors.New("it has no header of a store")
	case order.Uint32(buf[4:]) != boltVersion:
		return header{}, fmt.Errorf("its bbolt format is %d, this Bellhop reads %d", order.Uint32(buf[4:]), boltVersion)
	case order.Uint64(buf[56:]) != sum.Sum64():
		return header{}, errors.New("its header has a wrong checksum")
	case h.pageSize < minPageSize || h.pageSize > maxPageSize || h.pageSize&(h.pageSize-1) != 0:
		return header{}, fmt.Errorf("its pages are of %d bytes", h.pageSize)
	}
	return h, nil
}

// page is a page, or an inline bucket's, with its overflow.
type page struct {
	id     uint64 // of the page that it is on
	flags  uint16
	count  uint64
	length uint64 // header and overflow included
	at     int64
	r      io.ReaderAt
	head   []byte // its beginning, read ahead
}

// page reads a page's header and claims its pages.
func (v *fileVerifier) page(id uint64) (*page, error) {
	if id < 2 || id >= v.h.pages {
		return nil, fmt.Errorf("page %d is not one of its %d", id, v.h.pages)
	}
	p := &page{id: id, at: int64(id * v.h.pageSize), r: v.r, head: make([]byte, v.h.pageSize)}
	if _, err := v.r.ReadAt(p.head, p.at); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	if self := order.Uint64(p.head); self != id {
		return nil, fmt.Errorf("page %d calls itself %d", id, self)
	}
	overflow := uint64(order.Uint32(p.head[12:]))
	if overflow >= v.h.pages-id {
		return nil, fmt.Errorf("page %d goes on for %d pages, past the end", id, overflow)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen.set(i) {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		if v.free.has(i) {
			return nil, fmt.Errorf("page %d is used, and listed as free", i)
		}
	}
	p.flags = order.Uint16(p.head[8:])
	p.count = uint64(order.Uint16(p.head[10:]))
	p.length = (overflow + 1) * v.h.pageSize
	return p, nil
}

// bytes reads n bytes at off. What is out of bounds is an error.
func (p *page) bytes(off, n uint64) ([]byte, error) {
	if off > p.length || n > p.length-off {
		return nil, fmt.Errorf("page %d: %d bytes at %d are past its end", p.id, n, off)
	}
	if off+n <= uint64(len(p.head)) {
		return p.head[off : off+n], nil
	}
	buf := make([]byte, n)
	if _, err := p.r.ReadAt(buf, p.at+int64(off)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", p.id, err)
	}
	return buf, nil
}

// freelist marks the free pages.
func (v *fileVerifier) freelist(id uint64) error {
	p, err := v.page(id)
	if err != nil {
		return fmt.Errorf("its list of free pages: %w", err)
	}
	if p.flags != flagFreelist {
		return fmt.Errorf("page %d is no list of free pages", id)
	}
	off, n := uint64(pageHeaderSize), p.count
	if n == longFreelist {
		b, err := p.bytes(off, 8)
		if err != nil {
			return err
		}
		off, n = off+8, order.Uint64(b)
	}
	if n > v.h.pages {
		return fmt.Errorf("its list of free pages holds %d, of %d in all", n, v.h.pages)
	}
	ids, err := p.bytes(off, n*8)
	if err != nil {
		return err
	}
	for ; len(ids) > 0; ids = ids[8:] {
		free := order.Uint64(ids)
		if free < 2 || free >= v.h.pages || v.seen.has(free) || v.free.set(free) {
			return fmt.Errorf("its list of free pages holds page %d, which cannot be", free)
		}
	}
	return nil
}

// tree walks the pages from id on, whose keys are from low, inclusive, to high, exclusive; nil is no bound.
func (v *fileVerifier) tree(id uint64, low, high []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d is more than %d pages deep", id, maxDepth)
	}
	p, err := v.page(id)
	if err != nil {
		return err
	}
	switch p.flags {
	case flagLeaf:
		return v.leaf(p, low, high, depth, false)
	case flagBranch:
		return v.branch(p, low, high, depth)
	}
	return fmt.Errorf("page %d is neither branch nor leaf (%#x)", id, p.flags)
}

func (v *fileVerifier) branch(p *page, low, high []byte, depth int) error {
	if p.count == 0 {
		return fmt.Errorf("page %d is a branch without entries", p.id)
	}
	children := make([]uint64, p.count)
	keys := make([][]byte, p.count+1)
	keys[p.count] = high
	for i := range p.count {
		off := uint64(pageHeaderSize + i*elementSize)
		e, err := p.bytes(off, elementSize)
		if err != nil {
			return err
		}
		children[i] = order.Uint64(e[8:])
		if keys[i], err = p.key(i, uint64(order.Uint32(e)), uint64(order.Uint32(e[4:])), &low, high); err != nil {
			return err
		}
	}
	for i, child := range children {
		if err := v.tree(child, keys[i], keys[i+1], depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (v *fileVerifier) leaf(p *page, low, high []byte, depth int, inline bool) error {
	for i := range p.count {
		off := uint64(pageHeaderSize + i*elementSize)
		e, err := p.bytes(off, elementSize)
		if err != nil {
			return err
		}
		pos, keySize, valueSize := uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
		if _, err := p.key(i, pos, keySize, &low, high); err != nil {
			return err
		}
		value := off + pos + keySize
		if value > p.length || valueSize > p.length-value {
			return fmt.Errorf("page %d: the value of entry %d is past its end", p.id, i)
		}
		switch flags := order.Uint32(e); {
		case flags == 0:
		case flags != bucketEntryFlag || inline:
			return fmt.Errorf("page %d: entry %d is of an unknown kind (%#x)", p.id, i, flags)
		default:
			if err := v.bucket(p, value, valueSize, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket walks a bucket whose record stands on a leaf page.
func (v *fileVerifier) bucket(p *page, off, size uint64, depth int) error {
	if size < bucketSize {
		return fmt.Errorf("page %d: a bucket of %d bytes", p.id, size)
	}
	b, err := p.bytes(off, size)
	if err != nil {
		return err
	}
	if root := order.Uint64(b); root != 0 {
		return v.tree(root, nil, nil, depth+1)
	}
	// A small bucket lies within its record, as a page of its own without a number.
	b = b[bucketSize:]
	if len(b) < pageHeaderSize {
		return fmt.Errorf("page %d: an inline bucket of %d bytes", p.id, len(b))
	}
	in := &page{id: p.id, flags: order.Uint16(b[8:]), count: uint64(order.Uint16(b[10:])), length: uint64(len(b)), head: b}
	if in.flags != flagLeaf {
		return fmt.Errorf("page %d: an inline bucket is no leaf (%#x)", p.id, in.flags)
	}
	// bbolt would free the page that it names.
	if id, overflow := order.Uint64(b), order.Uint32(b[12:]); id != 0 || overflow != 0 {
		return fmt.Errorf("page %d: an inline bucket calls itself page %d, and %d more", p.id, id, overflow)
	}
	return v.leaf(in, nil, nil, depth, true)
}

// key reads the key of entry i and checks its order: after the one before it, which *low becomes, and below high.
func (p *page) key(i, pos, size uint64, low *[]byte, high []byte) ([]byte, error) {
	if pos < (p.count-i)*elementSize || size > maxKeySize {
		return nil, fmt.Errorf("page %d: entry %d has a key of %d bytes at %d", p.id, i, size, pos)
	}
	key, err := p.bytes(pageHeaderSize+i*elementSize+pos, size)
	if err != nil {
		return nil, err
	}
	// The first key may be the bound itself; the others follow the one before.
	if c := bytes.Compare(*low, key); *low != nil && (c > 0 || c == 0 && i > 0) {
		return nil, fmt.Errorf("page %d: the keys of entries %d and before are out of order", p.id, i)
	}
	if high != nil && bytes.Compare(key, high) >= 0 {
		return nil, fmt.Errorf("page %d: the key of entry %d belongs on another page", p.id, i)
	}
	*low = key
	return key, nil
}

// bitmap is a set of page numbers.
type bitmap []uint64

func newBitmap(n uint64) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }

// set adds a number, and tells whether it was there already.
func (b bitmap) set(i uint64) bool {
	was := b.has(i)
	b[i/64] |= 1 << (i % 64)
	return was
}
