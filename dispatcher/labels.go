package dispatcher

import "sync"

// maxLaneLabels is how many lanes have series of their own in the metrics, the first that rules call. The rest share OtherLane.
const maxLaneLabels = 100

// OtherLane is the label of the lanes that have no series of their own.
const OtherLane = "other"

// labels bounds the values of a label. It is safe for concurrent use.
type labels struct {
	mu    sync.Mutex
	most  int
	known map[string]struct{}
}

func (l *labels) init(most int) { l.most, l.known = most, map[string]struct{}{} }

// add gives a value its own series, where there is room for one more. Once given it stays: a counter must not change its name.
func (l *labels) add(value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) < l.most {
		l.known[value] = struct{}{}
	}
}

// of is the label of a value.
func (l *labels) of(value string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known[value]; ok {
		return value
	}
	return OtherLane
}
