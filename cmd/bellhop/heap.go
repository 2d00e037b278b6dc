package main

import (
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

const (
	// ballastBytes is how much larger the collector takes the heap for than it is.
	ballastBytes = 16 << 20
	// usualHeap is what a busy daemon's heap comes to, without its rules.
	usualHeap = 80 << 20
	// heapByRules is how many bytes of heap reading a byte of rule files takes at most, about.
	heapByRules = 24
	// leastPages and mostPages bound what large pages are asked for.
	leastPages = 16 << 20
	mostPages  = 1 << 30
)

// ballast returns memory that nobody touches, so that none of the machine's is used for it. A daemon holds few megabytes and goes
// through hundreds a second: the collector, which begins anew whenever the heap has doubled, would be at work all the time. With
// a heap of its own size, as that of many rules is, it makes no difference, which a percentage for all (GOGC) would.
func ballast() []byte { return make([]byte, ballastBytes) }

// pages has the kernel back the heap with large pages. What a daemon goes through is touched all over: with pages of 4 KiB each is a
// fault at first, and a miss of the processor's table later. Where large pages go to those alone who ask (Linux: madvise, the
// usual setting), Go's runtime does not ask.
var pages largePages

// largePages are the areas of the heap that large pages were asked for. It is safe for concurrent use.
//
// An area is addresses that the runtime has got for the heap, and uses for whatever it likes: nothing in it is held, and nothing of the
// machine is taken that is not touched. All of this is a wish. Where there are no large pages to give, the others do.
type largePages struct {
	mu      sync.Mutex
	usual   area // for as long as the process lives
	reading area // while rules are read
	readers int
}

type area struct {
	at   uintptr
	size int
}

// always asks for large pages for the heap of a daemon at work.
func (p *largePages) always() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.usual.size == 0 && asksForLargePages() {
		p.usual = newArea(usualHeap)
		p.usual.ask(true)
	}
}

// while asks for them for a heap that is about to grow by so many bytes, until over is called. Then they are no longer wanted, for the
// kernel would come after every small thing that is left in such an area, and make it a large page again.
func (p *largePages) while(bytes int) (over func()) {
	bytes = min(bytes, mostPages) / leastPages * leastPages
	if bytes == 0 || !asksForLargePages() {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading.size < bytes && p.readers == 0 {
		p.reading = newArea(bytes)
	}
	p.readers++
	p.reading.ask(true)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.readers--; p.readers == 0 {
			p.reading.ask(false)
			p.usual.ask(true) // it may be part of the other
		}
	}
}

// newArea finds addresses that the heap is going to use next.
func newArea(size int) area {
	// A builder's memory is the one that the runtime hands out as it is. It would fill a slice's with zeros where the heap has used any
	// of it before, and so touch all of it.
	var room strings.Builder
	room.Grow(size)
	room.WriteByte(0)
	a := area{uintptr(unsafe.Pointer(unsafe.StringData(room.String()))), size}
	runtime.KeepAlive(&room)
	room.Reset()
	runtime.GC() // they are free from here on
	return a
}

// ask says whether large pages are wanted in the area.
func (a area) ask(large bool) {
	if a.size > 0 {
		adviseLargePages(a.at, a.size, large)
	}
}
