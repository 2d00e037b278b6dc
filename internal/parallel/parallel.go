// Package parallel spreads work that needs no order over all processors.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Each calls work for each of 0 to n-1, on all processors, and returns once every call has.
func Each(n int, work func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	wg.Wait()
}
