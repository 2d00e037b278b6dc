package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/delivery"
	"bellhop/store"
)

// TestStreamTellsWhatItCouldNotRead: outcomes that the bus does not give are told as skipped, and those of a stream that was made anew
// are no old ones.
func TestStreamTellsWhatItCouldNotRead(t *testing.T) {
	live := &Live{}
	var away atomic.Bool
	s, _ := open(t, func(o *Options) {
		o.Live = live
		o.Outcomes = func(_ context.Context, seqs []uint64) (list []api.Outcome, err error) {
			if away.Load() {
				return nil, errors.New("the bus is away")
			}
			for _, seq := range seqs {
				list = append(list, api.Outcome{Seq: seq})
			}
			return list, nil
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL()+api.StreamPath+"?stats=false", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return text
			}
		}
		t.Fatalf("the stream ended before %q came: %v", prefix, lines.Err())
		return ""
	}
	tell := func(seqs ...uint64) {
		for _, seq := range seqs {
			live.Tell(store.Tally{Seq: seq, Outcome: delivery.Delivered})
		}
	}
	for !live.Watched() && ctx.Err() == nil {
		next(":") // the first comment comes once it is open
	}
	away.Store(true)
	tell(5, 6, 7)
	for skipped := 0; skipped < 3; {
		var told struct{ Count int }
		if err := json.Unmarshal([]byte(next("data: ")), &told); err != nil || told.Count == 0 {
			t.Fatalf("what could not be read is told as %+v, %v", told, err)
		}
		skipped += told.Count
	}
	away.Store(false)
	tell(8)
	ids := []string{next("id: ")}
	tell(1, 2)
	for len(ids) < 3 {
		ids = append(ids, next("id: "))
	}
	if want := []string{"8", "1", "2"}; !slices.Equal(ids, want) {
		t.Errorf("outcomes %q came, want %q: the stream began anew", ids, want)
	}
}
