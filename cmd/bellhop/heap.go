package main

import (
	"runtime"
	"sync"

	"bellhop/config"
	"bellhop/dispatcher/rule"
)

const (
	// ballastBytes is how much larger the collector takes the heap for than it is.
	ballastBytes = 8 << 20
	// usualHeap is what a busy daemon's heap comes to, without its rules.
	usualHeap = 64 << 20
	// heapByRules is how many bytes of heap reading a byte of rule files takes at most, about.
	heapByRules = 24
	// mostPages bounds what is asked for.
	mostPages = 1 << 30
)

// ballast returns memory that nobody touches, so that none of the machine's is used for it. A daemon holds few megabytes and goes
// through hundreds a second: the collector, which begins anew whenever the heap has doubled, would be at work all the time. With
// a heap of its own size, as that of many rules is, it makes no difference, which a percentage for all (GOGC) would.
func ballast() []byte { return make([]byte, ballastBytes) }

// pages has the machine back the heap with large pages. The memory that a daemon goes through is touched all over: with pages of
// 4 KiB each of them is a fault at first, and later a miss of the processor's table. Many machines (Debian's setting is madvise)
// give large pages only to those who ask, which Go's runtime does not.
var pages largePages

// largePages is how much has been asked for. It is safe for concurrent use.
type largePages struct {
	mu    sync.Mutex
	asked int
}

// expect asks for large pages for a heap that is about to grow to so many bytes. It is a wish: where the machine has none to give, the
// usual ones do. Nothing is taken that is not touched.
func (p *largePages) expect(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes = min(bytes, mostPages)
	if bytes-p.asked < usualHeap/4 {
		return
	}
	// Addresses keep what is asked of them, and the runtime uses them for something else once nobody holds this. All of it anew and
	// not the rest alone, which would find its place in what was asked for before.
	if askLargePages(make([]byte, bytes)) != nil {
		return
	}
	p.asked = bytes
	runtime.GC()
}

// parseRules reads the texts of rule files.
func parseRules(files []rule.SourceFile) (*rule.Definitions, []rule.Problem) {
	size := 0
	for i := range files {
		size += len(files[i].Text)
	}
	pages.expect(min(size, mostPages/heapByRules) * heapByRules)
	return config.ParseRules(files)
}
