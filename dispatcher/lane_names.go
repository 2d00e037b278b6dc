package dispatcher

import (
	"sync"

	"bellhop/dispatcher/bus"
)

// laneNames tells lanes by names that may be shown: a host that a rule file takes from a secret stays one, in logs, answers and
// on the bus.
type laneNames struct {
	mu     sync.Mutex
	shown  map[string]string       // lane -> its name, of those that hold a secret alone
	tokens map[string]string       // of the same, the bus's token -> lane
	early  map[string]bus.LaneHold // by token: holds of lanes that no rules in force have called yet
}

// maxEarly bounds what is remembered for rules that may come.
const maxEarly = 10_000

// set takes the names of the rules in force over those known, and returns the holds that were waiting for them. plain are
// lanes that some rule writes openly.
func (n *laneNames) set(shown map[string]string, plain map[string]struct{}) []bus.LaneHold {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shown == nil {
		n.shown, n.tokens, n.early = map[string]string{}, map[string]string{}, map[string]bus.LaneHold{}
	}
	for lane, name := range shown {
		n.shown[lane] = name
		n.tokens[bus.LaneToken(lane, 0)] = lane
	}
	for lane := range n.shown {
		if _, open := plain[lane]; open {
			delete(n.shown, lane)
		}
	}
	var due []bus.LaneHold
	for token, h := range n.early {
		if lane, ok := n.tokens[token]; ok {
			delete(n.early, token)
			h.Lane = lane
			due = append(due, h)
		}
	}
	return due
}

// of gives the name of a lane that may be shown, and whether that hides a secret.
func (n *laneNames) of(lane string) (name string, hidden bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, hidden = n.shown[lane]; hidden {
		return name, true
	}
	return lane, false
}

// lane finds the lane of a name.
func (n *laneNames) lane(name string) (lane string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for lane, shown := range n.shown {
		if shown == name {
			return lane, true
		}
	}
	return "", false
}

// whose finds the lane of a hold that came without its name. A hold of one that is not known yet is kept for it.
func (n *laneNames) whose(h bus.LaneHold) (lane string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if lane, ok = n.tokens[h.Token]; !ok && n.early != nil && (len(n.early) < maxEarly) {
		n.early[h.Token] = h
	}
	return lane, ok
}
