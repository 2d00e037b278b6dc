package dispatcher

// fifo is a queue. It uses its memory again, and moves what is in it seldom: neither costs more than the pushes do.
type fifo[T any] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(x T) { q.items = append(q.items, x) }

// pop takes the first one out; there must be one.
func (q *fifo[T]) pop() T {
	var none T
	x := q.items[q.head]
	q.items[q.head] = none
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head > 64 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return x
}

// popLast takes the last one out; there must be one.
func (q *fifo[T]) popLast() T {
	var none T
	last := len(q.items) - 1
	x := q.items[last]
	q.items[last] = none
	q.items = q.items[:last]
	return x
}
