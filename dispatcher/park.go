package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
)

const (
	// laneIdle is how long a lane's puller finds nothing before the lane's consumer is given up.
	laneIdle = 20 * time.Second
	// discoverEvery is how often a daemon looks for lanes that others have parked in: one of them may have died.
	discoverEvery = 2 * time.Second
)

// park hands an attempt that does not fit its lane to the bus, which is then its owner.
func (d *Dispatcher) park(j *job) {
	if j.owner.place != nil {
		// It waits on the bus already, under a key that a second parking would have too: it goes back as what it is.
		d.abandon(j)
		return
	}
	data, err := delivery.EncodeJob(j.Job)
	if err != nil || len(data)+1<<10 > d.bus.Outcomes.MaxPayload() {
		// It cannot wait on the bus, so it waits here, and with it what it holds.
		if d.pool.submit(j, forced) != accepted {
			d.abandon(j)
		}
		return
	}
	token, err := d.lanes.serve(j.lane)
	if err == nil {
		key := delivery.OutcomeID(j.ID, j.Run, j.Attempt)
		err = d.retry("park", func(ctx context.Context) error { return d.bus.Waiting.Park(ctx, token, j.ID, key, data) })
	}
	if err != nil {
		d.abandon(j)
		return
	}
	d.metrics.Parked.Inc()
	d.claims.release(j.ID)
	d.part(j.owner)
}

// relieveEvery is how often lanes are looked at that queue more than their share.
const relieveEvery = 100 * time.Millisecond

// relieve parks what lanes have queued because they were quick, once they are no longer, until ctx ends.
func (d *Dispatcher) relieve(ctx context.Context) {
	tick := time.NewTicker(relieveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, j := range d.pool.relieve() {
			go d.park(j)
		}
	}
}

// move has what waited for one lane wait for another: its endpoint was changed meanwhile. Where both wait under one token it
// waits on as it is.
func (d *Dispatcher) move(j *job) {
	token, err := d.lanes.serve(j.lane)
	if err != nil {
		d.abandon(j)
		return
	}
	if token == j.owner.place.token {
		d.claims.release(j.ID)
		j.owner.giveBack(giveBackAfter)
		d.part(j.owner)
		return
	}
	data, err := delivery.EncodeJob(j.Job)
	if err == nil {
		// The message moves, not the attempt: it may move back within the time in which the bus remembers keys.
		key := fmt.Sprintf("%s.%d", delivery.OutcomeID(j.ID, j.Run, j.Attempt), j.owner.msg.Seq)
		err = d.retry("park", func(ctx context.Context) error { return d.bus.Waiting.Park(ctx, token, j.ID, key, data) })
	}
	if err != nil {
		d.abandon(j)
		return
	}
	d.claims.release(j.ID)
	d.part(j.owner)
}

// laneKeeper runs a puller for each token under which something waits.
type laneKeeper struct {
	d  *Dispatcher
	mu sync.Mutex
	// tokens maps a lane to the token of its subjects, as far as this daemon has parked in it.
	tokens map[string]string
	serves map[string]*laneServer
	wg     sync.WaitGroup
	ctx    context.Context // the pullers' lifetime: until the daemon stops
	stop   context.CancelFunc
}

// laneServer is the puller of one token.
type laneServer struct {
	token  string
	lanes  map[string]struct{} // the lanes it is known to serve
	parked int                 // parked since it was last found empty
}

func (k *laneKeeper) init(d *Dispatcher) {
	k.d, k.tokens, k.serves = d, map[string]string{}, map[string]*laneServer{}
	k.ctx, k.stop = context.WithCancel(context.Background())
}

// wait stops the pullers and blocks until they have.
func (k *laneKeeper) wait() {
	k.stop()
	k.wg.Wait()
}

// serve makes sure that what is about to be parked for a lane is pulled again, and returns the lane's token.
func (k *laneKeeper) serve(lane string) (string, error) {
	k.mu.Lock()
	if token, ok := k.tokens[lane]; ok {
		if s := k.serves[token]; s != nil {
			s.parked++
			k.mu.Unlock()
			k.d.pool.backlog(lane, true)
			return token, nil
		}
	}
	open := len(k.serves)
	k.mu.Unlock()
	token := bus.LaneToken(lane, open)
	err := k.d.retry("open lane", func(ctx context.Context) error { return k.d.bus.Waiting.OpenLane(ctx, token) })
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens[lane] = token
	s := k.start(token)
	s.lanes[lane] = struct{}{}
	s.parked++
	k.d.pool.backlog(lane, true)
	return token, nil
}

// start runs a token's puller where none runs, with the lock held.
func (k *laneKeeper) start(token string) *laneServer {
	if s := k.serves[token]; s != nil {
		return s
	}
	s := &laneServer{token: token, lanes: map[string]struct{}{}}
	k.serves[token] = s
	if k.ctx.Err() == nil {
		k.wg.Add(1)
		go func() {
			defer k.wg.Done()
			k.run(s)
		}()
	}
	return s
}

// discover looks for tokens that other daemons have parked under, until ctx ends; then it stops the pullers.
func (k *laneKeeper) discover(ctx context.Context) error {
	tick := time.NewTicker(discoverEvery)
	defer tick.Stop()
	said := ""
	for {
		if k.d.open.wait(ctx) == nil {
			tokens, err := k.d.bus.BusyLanes(ctx)
			if err != nil && ctx.Err() == nil && err.Error() != said {
				k.d.log.Warn("cannot look for lanes that others have parked in", zap.Error(err))
			}
			said = fmt.Sprint(err)
			k.mu.Lock()
			for _, token := range tokens {
				k.start(token)
			}
			k.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			k.stop()
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// run pulls what waits under a token, just as much as its lanes can do, until the daemon stops or nothing waits any more.
func (k *laneKeeper) run(s *laneServer) {
	var src Source
	defer func() {
		if src != nil {
			src.Close()
		}
	}()
	idle := time.Now()
	for k.ctx.Err() == nil {
		if k.d.open.wait(k.ctx) != nil {
			return
		}
		if src == nil {
			opened, err := k.d.bus.Lane(s.token)
			if err != nil {
				k.pause(err)
				continue
			}
			src = opened
		}
		lane, n, err := k.reserve(s)
		if err != nil {
			return
		}
		got, err := src.Pull(k.ctx, n, pullExpires, func(m *bus.Message) {
			if m.Pending == 0 {
				// Nothing waits behind it: what comes now need not either, though the pull stays open.
				k.drained(s)
			}
			k.d.takeJob(m, nil, &place{pool: k.d.pool, lane: lane, token: s.token, learn: func(lane string) { k.learn(s, lane) }})
		})
		k.d.pool.unreserve(lane, n-got)
		switch {
		case err != nil && k.ctx.Err() == nil:
			src.Close()
			src = nil
			// Its consumer may be gone: made anew, it goes on with what waits.
			if oerr := k.d.bus.Waiting.OpenLane(k.ctx, s.token); oerr != nil {
				err = oerr
			}
			k.pause(err)
		case got > 0:
			idle = time.Now()
		default:
			k.drained(s)
			if time.Since(idle) > laneIdle && k.end(s) {
				return
			}
		}
	}
}

func (k *laneKeeper) pause(err error) {
	k.d.log.Debug("lane", zap.Error(err))
	select {
	case <-time.After(time.Second):
	case <-k.ctx.Done():
	}
}

// reserve waits until the token's lane has room. A token shared by several lanes, or one whose lane this daemon does not know
// yet, is pulled from one message at a time.
func (k *laneKeeper) reserve(s *laneServer) (string, int, error) {
	lane := k.laneOf(s)
	most := pullBatch
	if lane == "" || k.shared(s) {
		most = 1
	}
	n, err := k.d.pool.reserve(k.ctx, lane, most)
	return lane, n, err
}

func (k *laneKeeper) shared(s *laneServer) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(s.lanes) > 1
}

func (k *laneKeeper) laneOf(s *laneServer) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for lane := range s.lanes {
		return lane
	}
	return ""
}

// learn notes a lane that the token serves: this daemon may have found the token before it knew whose it is.
func (k *laneKeeper) learn(s *laneServer, lane string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.lanes[lane] = struct{}{}
}

// drained notes that nothing waits under the token, so that what comes next need not go behind it.
func (k *laneKeeper) drained(s *laneServer) {
	k.mu.Lock()
	s.parked = 0
	lanes := make([]string, 0, len(s.lanes))
	for lane := range s.lanes {
		lanes = append(lanes, lane)
	}
	k.mu.Unlock()
	for _, lane := range lanes {
		k.d.pool.backlog(lane, false)
	}
}

// end gives up a token under which nothing waits; false where something has been parked meanwhile.
func (k *laneKeeper) end(s *laneServer) bool {
	k.mu.Lock()
	if s.parked > 0 {
		k.mu.Unlock()
		return false
	}
	delete(k.serves, s.token)
	k.mu.Unlock()
	// The consumer stays where another daemon pulls from it, or something came just now: discover finds it again.
	if _, err := k.d.bus.Waiting.CloseLane(k.ctx, s.token); err != nil {
		k.d.log.Debug("close lane", zap.Error(err))
	}
	return true
}
