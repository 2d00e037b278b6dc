package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"bellhop/dispatcher/delivery"
)

// The index says where in the stream which outcomes are: a row of fixed size for each, in blocks in the order of the stream,
// so that writing it is appending, and finding a few among millions is one pass over memory that holds nothing else.
// It is no copy of the outcomes: what they say is read from the stream.
var (
	bucketBlocks = []byte("blocks") // sequence of the first row, 8 bytes big-endian -> rows
	bucketSorts  = []byte("sorts")  // number, 4 bytes big-endian -> sort
)

const (
	rowSize   = 40
	blockRows = 512
	// defaultIndexed bounds the index: at 40 bytes each, 200 MB.
	defaultIndexed = 5_000_000
	// maxSorts bounds the combinations of rule, webhook, endpoint and type that are told apart.
	maxSorts = 1 << 16
)

// row is where one outcome is, and what filters need of it.
type row struct {
	seq     uint64
	at      int64 // Unix milliseconds
	id      uint64
	event   uint32
	user    uint32
	sort    uint32
	run     uint16
	attempt uint16
	outcome uint8 // place in outcomes
	kind    uint8 // place in kinds
}

// put writes the row behind dst, its sequence as the distance from the block's first.
func (r *row) put(dst []byte, first uint64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.seq-first))
	dst = binary.BigEndian.AppendUint32(dst, r.sort)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.at))
	dst = binary.BigEndian.AppendUint64(dst, r.id)
	dst = binary.BigEndian.AppendUint32(dst, r.event)
	dst = binary.BigEndian.AppendUint32(dst, r.user)
	dst = binary.BigEndian.AppendUint16(dst, r.run)
	dst = binary.BigEndian.AppendUint16(dst, r.attempt)
	return append(dst, r.outcome, r.kind, 0, 0)
}

// rows is a block as it is stored.
type rows struct {
	first uint64
	data  []byte
}

func blockOf(key, data []byte) (rows, error) {
	if len(key) != 8 || len(data) == 0 || len(data)%rowSize != 0 {
		return rows{}, fmt.Errorf("%w: a block of the index", ErrDamaged)
	}
	return rows{first: binary.BigEndian.Uint64(key), data: data}, nil
}

func (b rows) len() int { return len(b.data) / rowSize }

func (b rows) id(i int) uint64 { return binary.BigEndian.Uint64(b.data[i*rowSize+16:]) }

func (b rows) at(i int) row {
	d := b.data[i*rowSize : (i+1)*rowSize]
	return row{
		seq:  b.first + uint64(binary.BigEndian.Uint32(d)),
		sort: binary.BigEndian.Uint32(d[4:]), at: int64(binary.BigEndian.Uint64(d[8:])), id: binary.BigEndian.Uint64(d[16:]),
		event: binary.BigEndian.Uint32(d[24:]), user: binary.BigEndian.Uint32(d[28:]),
		run: binary.BigEndian.Uint16(d[32:]), attempt: binary.BigEndian.Uint16(d[34:]), outcome: d[36], kind: d[37],
	}
}

// sort is a combination of what rows have in common.
type sort struct{ rule, webhook, endpoint, eventType string }

func (s sort) encode() []byte {
	var b []byte
	for _, part := range [...]string{s.rule, s.webhook, s.endpoint, s.eventType} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

func decodeSort(b []byte) (s sort, err error) {
	for _, part := range [...]*string{&s.rule, &s.webhook, &s.endpoint, &s.eventType} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return s, fmt.Errorf("%w: a record of the index", ErrDamaged)
		}
		*part, b = string(b[size:size+int(n)]), b[size+int(n):]
	}
	return s, nil
}

// otherSort stands for all combinations beyond maxSorts: which one a row is of only the stream can tell.
const otherSort = 0

// identity is what an outcome's id is compared by: the halves of the delivery's own hash, or a hash of what is none of Bellhop's ids.
func identity(id string) (hash uint64, run, attempt uint16) {
	d, r, a, ok := delivery.ParseOutcomeID(id)
	if ok {
		if hash, ok = DeliveryHash(d); ok {
			return hash, uint16(min(max(r, 0), 1<<16-1)), uint16(min(max(a, 0), 1<<16-1))
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	return h.Sum64(), 0, 0
}

// DeliveryHash is how the index knows a delivery; false for what is no delivery's id.
func DeliveryHash(id string) (uint64, bool) {
	var b [16]byte
	if len(id) != 2*len(b) {
		return 0, false
	}
	if _, err := hex.Decode(b[:], []byte(id)); err != nil {
		return 0, false
	}
	return mix(binary.BigEndian.Uint64(b[:8]), 0, 0) ^ binary.BigEndian.Uint64(b[8:]), true
}

// textHash is how the index knows an event's or a user's id; 0 is none.
func textHash(text string) uint32 {
	if text == "" {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return max(1, h.Sum32())
}

// loadSorts reads the sorts, by number.
func loadSorts(tx *bolt.Tx) ([]sort, error) {
	list := []sort{otherSort: {}}
	p, err := bucket(tx, bucketProjection)
	if err != nil {
		return nil, err
	}
	b := p.Bucket(bucketSorts)
	if b == nil {
		return list, nil
	}
	err = b.ForEach(func(k, v []byte) error {
		s, err := decodeSort(v)
		if err == nil && (len(k) != 4 || int(binary.BigEndian.Uint32(k)) != len(list)) {
			err = fmt.Errorf("%w: a record of the index is not its own", ErrDamaged)
		}
		list = append(list, s)
		return err
	})
	return list, err
}

// indexer is what writing the index needs at hand. It is read from the store when it is first needed, and again after a
// transaction that failed.
type indexer struct {
	sorts map[sort]uint32
	seen  *filter
}

func (s *Store) openIndexer(tx *bolt.Tx) (*indexer, error) {
	if s.index != nil {
		return s.index, nil
	}
	list, err := loadSorts(tx)
	if err != nil {
		return nil, err
	}
	x := &indexer{sorts: make(map[sort]uint32, len(list))}
	for i, one := range list[1:] {
		x.sorts[one] = uint32(i + 1)
	}
	if x.seen, err = filterOf(tx, 0); err != nil {
		return nil, err
	}
	s.index = x
	return x, nil
}

// sortOf gives a combination's number, a new one where there is room.
func (x *indexer) sortOf(p *bolt.Bucket, t *Tally) (uint32, error) {
	s := sort{t.Rule, t.Webhook, t.Endpoint, t.EventType}
	if n, ok := x.sorts[s]; ok {
		return n, nil
	}
	if len(x.sorts)+1 >= maxSorts || len(t.Rule)+len(t.Webhook) > maxValue || len(t.Endpoint) > 4*maxValue || len(t.EventType) > maxValue {
		return otherSort, nil
	}
	b, err := p.CreateBucketIfNotExists(bucketSorts)
	if err != nil {
		return 0, err
	}
	n := uint32(len(x.sorts) + 1)
	if err := b.Put(binary.BigEndian.AppendUint32(nil, n), s.encode()); err != nil {
		return 0, err
	}
	x.sorts[s] = n
	return n, nil
}

// rowOf makes an outcome's row.
func (x *indexer) rowOf(p *bolt.Bucket, t *Tally) (row, error) {
	r := row{
		seq: t.Seq, at: t.Time.UnixMilli(), event: textHash(t.EventID), user: textHash(t.User),
		outcome: uint8(slices.Index(outcomes, t.Outcome)), kind: uint8(slices.Index(kinds, kindOf(t.Kind))),
	}
	r.id, r.run, r.attempt = identity(t.ID)
	var err error
	r.sort, err = x.sortOf(p, t)
	return r, err
}

// addRows appends to the index, and lets the oldest rows go where there are more than most. It returns how many it now holds.
func addRows(p *bolt.Bucket, fresh []row, have, most uint64) (uint64, error) {
	b, err := p.CreateBucketIfNotExists(bucketBlocks)
	if err != nil {
		return have, err
	}
	b.FillPercent = 0.9 // it only ever grows at its end
	var key, data []byte
	if k, v := b.Cursor().Last(); k != nil {
		if _, err := blockOf(k, v); err != nil {
			return have, err
		}
		if len(v) < blockRows*rowSize {
			key, data = bytes.Clone(k), bytes.Clone(v)
		}
	}
	flush := func() error {
		if len(data) == 0 {
			return nil
		}
		return b.Put(key, data)
	}
	for i := range fresh {
		r := &fresh[i]
		if len(data) >= blockRows*rowSize || key != nil && r.seq-binary.BigEndian.Uint64(key) >= 1<<32 {
			if err := flush(); err != nil {
				return have, err
			}
			key = nil
		}
		if key == nil {
			key, data = numberKey(r.seq), nil
		}
		data = r.put(data, binary.BigEndian.Uint64(key))
	}
	if err := flush(); err != nil {
		return have, err
	}
	have += uint64(len(fresh))
	for have > most {
		k, v := b.Cursor().First()
		if k == nil {
			break
		}
		n := uint64(len(v) / rowSize)
		if n >= have {
			break
		}
		if err := b.Delete(bytes.Clone(k)); err != nil {
			return have, err
		}
		have -= n
	}
	return have, nil
}

// Forget lets go of what the index knows of outcomes before a sequence, which the stream no longer keeps.
func (s *Store) Forget(stream StreamID, before uint64) error {
	var drop bool
	err := s.view("look at the index", func(tx *bolt.Tx) error {
		st, err := readProjection(tx)
		if err != nil || !st.Stream.Equal(stream) {
			return err
		}
		old, _, err := oldBlocks(tx, before)
		drop = len(old) > 0
		return err
	})
	if err != nil || !drop {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.project("trim the index", func(tx *bolt.Tx) error {
		st, err := readProjection(tx)
		if err != nil || !st.Stream.Equal(stream) {
			return err
		}
		old, n, err := oldBlocks(tx, before)
		if err != nil || len(old) == 0 {
			return err
		}
		p, err := bucket(tx, bucketProjection)
		if err != nil {
			return err
		}
		for _, k := range old {
			if err := p.Bucket(bucketBlocks).Delete(k); err != nil {
				return err
			}
		}
		st.Rows -= min(st.Rows, n)
		return putJSON(tx, bucketProjection, keyState, st)
	})
}

// oldBlocks lists blocks all of whose rows come before a sequence, a bounded number of them, and how many rows they hold.
func oldBlocks(tx *bolt.Tx, before uint64) (keys [][]byte, n uint64, err error) {
	p, err := bucket(tx, bucketProjection)
	if err != nil {
		return nil, 0, err
	}
	b := p.Bucket(bucketBlocks)
	if b == nil {
		return nil, 0, nil
	}
	c := b.Cursor()
	for k, v := c.First(); k != nil && len(keys) < forgetAtOnce; k, v = c.Next() {
		block, err := blockOf(k, v)
		if err != nil {
			return nil, 0, err
		}
		if block.at(block.len()-1).seq >= before {
			break
		}
		keys = append(keys, bytes.Clone(k))
		n += uint64(block.len())
	}
	return keys, n, nil
}

// eachBlock calls fn with the blocks from the newest that begins before a sequence (0: the newest) to the oldest, until it
// gives false.
func eachBlock(tx *bolt.Tx, before uint64, fn func(rows) bool) error {
	p, err := bucket(tx, bucketProjection)
	if err != nil {
		return err
	}
	b := p.Bucket(bucketBlocks)
	if b == nil {
		return nil
	}
	c := b.Cursor()
	k, v := c.Last()
	if before > 0 {
		if k, _ = c.Seek(numberKey(before)); k == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
	}
	for ; k != nil; k, v = c.Prev() {
		block, err := blockOf(k, v)
		if err != nil {
			return err
		}
		if !fn(block) {
			return nil
		}
	}
	return nil
}

// millis is a time as rows hold it.
func millis(t time.Time) int64 { return t.UnixMilli() }

// checkIndex reads every row.
func checkIndex(tx *bolt.Tx) error {
	sorts, err := loadSorts(tx)
	if err != nil {
		return err
	}
	var total uint64
	last := ^uint64(0)
	var bad error
	err = eachBlock(tx, 0, func(b rows) bool {
		total += uint64(b.len())
		for i := b.len() - 1; i >= 0; i-- {
			r := b.at(i)
			if r.seq >= last || int(r.sort) >= len(sorts) || int(r.outcome) >= len(outcomes) || int(r.kind) >= len(kinds) {
				bad = fmt.Errorf("%w: a row of the index at outcome %d", ErrDamaged, r.seq)
				return false
			}
			last = r.seq
		}
		return true
	})
	if err != nil || bad != nil {
		return errors.Join(err, bad)
	}
	st, err := readProjection(tx)
	if err == nil && st.Rows != total {
		err = fmt.Errorf("%w: the index holds %d rows, and says %d", ErrDamaged, total, st.Rows)
	}
	return err
}
