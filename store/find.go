package store

import (
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"bellhop/dispatcher/delivery"
)

// Query says which outcomes to find. All that is set must hold; a list holds for any of its entries, an empty one for all.
type Query struct {
	Outcomes  []delivery.Outcome
	Kinds     []delivery.Kind
	Rules     []string
	Webhooks  []string  // rule/webhook
	Endpoints []string  // a trailing * takes what begins so
	Types     []string  // a trailing * takes what begins so
	From, To  time.Time // zero: no bound; From is included, To is not
	Text      string    // the id of a delivery, an event or a user
	Before    uint64    // a sequence; 0: from the newest on
	Limit     int       // of hits; 0 means 50
}

// Hit is an outcome that the index takes for a match. Hashes and what there is too much of make it wrong at times, so the
// outcome itself has to be asked.
type Hit struct {
	Seq     uint64
	Time    time.Time
	Outcome delivery.Outcome
}

// Page is what Find found.
type Page struct {
	Hits       []Hit     // newest first
	Next       uint64    // Before of the next page; 0: there is none
	SearchedTo time.Time // how far back was looked; zero where nothing was
}

// maxSearched bounds the rows that one Find looks at.
const maxSearched = 2_000_000

// matcher is a query made ready for many rows.
type matcher struct {
	outcomes, kinds uint32 // bits by place; 0: all
	sorts           []verdict
	from, to        int64
	id              uint64
	text            uint32
	byText          bool
}

type verdict byte

const (
	no verdict = iota
	yes
)

func (q *Query) matcher(sorts []sort) *matcher {
	m := &matcher{sorts: make([]verdict, len(sorts))}
	for _, o := range q.Outcomes {
		if i := slices.Index(outcomes, o); i >= 0 {
			m.outcomes |= 1 << i
		}
	}
	if len(q.Outcomes) > 0 && m.outcomes == 0 {
		m.outcomes = 1 << 31
	}
	for _, k := range q.Kinds {
		m.kinds |= 1 << slices.Index(kinds, kindOf(k))
	}
	for i, s := range sorts {
		if i == otherSort || q.takes(s.rule, s.webhook, s.endpoint, s.eventType) {
			m.sorts[i] = yes
		}
	}
	if !q.From.IsZero() {
		m.from = millis(q.From)
	}
	if !q.To.IsZero() {
		m.to = millis(q.To)
	}
	if q.Text != "" {
		m.byText, m.text = true, textHash(q.Text)
		var ok bool
		if m.id, ok = DeliveryHash(q.Text); !ok {
			m.id = 0
		}
	}
	return m
}

// takes tells whether the query's names hold.
func (q *Query) takes(rule, webhook, endpoint, eventType string) bool {
	return anyOf(q.Rules, rule) && (len(q.Webhooks) == 0 || slices.Contains(q.Webhooks, rule+"/"+webhook)) &&
		anyBegins(q.Endpoints, endpoint) && anyBegins(q.Types, eventType)
}

// Holds tells whether an outcome, whose own words are given, is one that the query asks for; time and place apart.
func (q *Query) Holds(t *Tally) bool {
	if len(q.Outcomes) > 0 && !slices.Contains(q.Outcomes, t.Outcome) || len(q.Kinds) > 0 && !slices.Contains(q.Kinds, kindOf(t.Kind)) {
		return false
	}
	if !q.takes(t.Rule, t.Webhook, t.Endpoint, t.EventType) {
		return false
	}
	if q.Text == "" {
		return true
	}
	id, _, _, _ := delivery.ParseOutcomeID(t.ID)
	return q.Text == id || q.Text == t.EventID || q.Text == t.User
}

func anyOf(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

func anyBegins(list []string, value string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(one string) bool {
		begin, ok := strings.CutSuffix(one, "*")
		return one == value || ok && strings.HasPrefix(value, begin)
	})
}

func (m *matcher) match(r *row) bool {
	return (m.outcomes == 0 || m.outcomes&(1<<r.outcome) != 0) && (m.kinds == 0 || m.kinds&(1<<r.kind) != 0) &&
		int(r.sort) < len(m.sorts) && m.sorts[r.sort] == yes &&
		(m.from == 0 || r.at >= m.from) && (m.to == 0 || r.at < m.to) &&
		(!m.byText || r.event == m.text || r.user == m.text || m.id != 0 && r.id == m.id)
}

// Find looks for outcomes, newest first, among those that the index holds. It looks at a bounded number of them: a page may be
// short, or empty, and have a next one.
func (s *Store) Find(q Query) (Page, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	var page Page
	err := s.view("find outcomes", func(tx *bolt.Tx) error {
		sorts, err := loadSorts(tx)
		if err != nil {
			return err
		}
		m := q.matcher(sorts)
		looked := 0
		return eachBlock(tx, q.Before, func(b rows) bool {
			if m.to != 0 && b.at(0).at >= m.to {
				return true
			}
			for i := b.len() - 1; i >= 0; i-- {
				r := b.at(i)
				if q.Before > 0 && r.seq >= q.Before {
					continue
				}
				page.SearchedTo = time.UnixMilli(r.at).UTC()
				if m.from != 0 && r.at < m.from {
					page.Next = 0
					return false
				}
				looked++
				if len(page.Hits) == q.Limit || looked > maxSearched {
					page.Next = r.seq + 1
					return false
				}
				if m.match(&r) {
					page.Hits = append(page.Hits, Hit{Seq: r.seq, Time: time.UnixMilli(r.at).UTC(), Outcome: outcomes[r.outcome]})
				}
			}
			return true
		})
	})
	return page, err
}

// Outcomes gives the sequences of a delivery's outcomes, oldest first. Another delivery's may be among them.
func (s *Store) Outcomes(id string) ([]uint64, error) {
	hash, ok := DeliveryHash(id)
	if !ok {
		return nil, nil
	}
	var seqs []uint64
	err := s.view("find a delivery", func(tx *bolt.Tx) error {
		return eachBlock(tx, 0, func(b rows) bool {
			for i := b.len() - 1; i >= 0; i-- {
				if b.id(i) == hash {
					seqs = append(seqs, b.at(i).seq)
				}
			}
			return true
		})
	})
	slices.Reverse(seqs)
	return seqs, err
}

// Failed finds deliveries whose last outcome is failed and matches, oldest first: the sequence of that outcome, of those up to
// until (0: the newest). It gives an error where there are more than most.
func (s *Store) Failed(q Query, until uint64, most int) ([]uint64, error) {
	q.Outcomes = []delivery.Outcome{delivery.Failed}
	var seqs []uint64
	err := s.view("find failed deliveries", func(tx *bolt.Tx) error {
		sorts, err := loadSorts(tx)
		if err != nil {
			return err
		}
		m := q.matcher(sorts)
		// Newest first, each delivery's last outcome is the first that is met; only those from the first candidate on count, so
		// the ones that end in another way are remembered as well.
		met := map[uint64]struct{}{}
		return eachBlock(tx, 0, func(b rows) bool {
			for i := b.len() - 1; i >= 0; i-- {
				r := b.at(i)
				if m.from != 0 && r.at < m.from {
					return false
				}
				if r.run == 0 {
					continue
				}
				if _, is := met[r.id]; is {
					continue
				}
				// A delivery that went well at once has no other outcome to hide.
				if outcomes[r.outcome] != delivery.Delivered || r.run > 1 || r.attempt > 1 {
					met[r.id] = struct{}{}
				}
				if (until == 0 || r.seq <= until) && m.match(&r) {
					seqs = append(seqs, r.seq)
				}
			}
			return len(seqs) <= most
		})
	})
	if err == nil && len(seqs) > most {
		return nil, &TooManyError{Most: most}
	}
	slices.Reverse(seqs)
	return seqs, err
}

// Progress says how far the projection has come.
type Progress struct {
	Stream  StreamID
	Cursor  uint64
	Since   time.Time
	Indexed uint64
}

// Progress reads memory only.
func (s *Store) Progress() Progress { return s.snapshot.Load().progress }
