package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"bellhop/config"
	"bellhop/dispatcher/rule"
)

// advised is for how many bytes of an area the kernel knows that large pages are wanted.
func advised(t *testing.T, a area) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) uintptr {
		n, err := strconv.ParseUint(s, 16, 64)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		return uintptr(n)
	}
	total := 0
	var mapped area
	for line := range strings.Lines(string(maps)) {
		if strings.HasPrefix(line, "VmFlags:") {
			if strings.Contains(line, " hg") {
				total += shared(mapped, a)
			}
			continue
		}
		if place, _, _ := strings.Cut(line, " "); !strings.HasSuffix(place, ":") {
			from, to, _ := strings.Cut(place, "-")
			mapped = area{number(from), int(number(to) - number(from))}
		}
	}
	return total
}

// shared is how many bytes two areas have in common.
func shared(a, b area) int {
	from, to := max(a.at, b.at), min(a.at+uintptr(a.size), b.at+uintptr(b.size))
	if to <= from {
		return 0
	}
	return int(to - from)
}

// TestLargePages asks the kernel what was asked of it.
func TestLargePages(t *testing.T) {
	if !asksForLargePages() {
		t.Skip("this kernel gives large pages to all or to none")
	}
	var p largePages
	p.always()
	touch(usualHeap / 2)
	if p.usual.size != usualHeap || advised(t, p.usual) != usualHeap {
		t.Errorf("the usual heap: asked for %d bytes of %d, want %d", advised(t, p.usual), p.usual.size, usualHeap)
	}
	p.while(leastPages - 1)()
	if p.reading.size != 0 {
		t.Errorf("for little: asked for %d bytes", p.reading.size)
	}
	const much = 2*usualHeap + 1
	resident := memoryOfSelf(t)
	over := p.while(much)
	// The usual area, which the other may begin in, was used: some of it stays.
	if now := memoryOfSelf(t); now > resident+usualHeap/2 {
		t.Errorf("asking takes %d MB of the machine, want nothing", (now-resident)>>20)
	}
	if want := 2 * usualHeap; p.reading.size != want || advised(t, p.reading) != want {
		t.Errorf("for much: asked for %d bytes of %d, want %d", advised(t, p.reading), p.reading.size, want)
	}
	p.while(much)()
	if got := advised(t, p.reading); got != p.reading.size {
		t.Errorf("another reader's end takes it away: %d bytes of %d are left", got, p.reading.size)
	}
	over()
	if got, want := advised(t, p.reading), shared(p.reading, p.usual); got != want || advised(t, p.usual) != usualHeap {
		t.Errorf("once nobody reads: %d bytes are left, want %d; and %d for the usual heap, want %d", got, want, advised(t, p.usual), usualHeap)
	}
	before := p.reading
	over = p.while(usualHeap)
	if p.reading != before || advised(t, p.reading) != before.size {
		t.Errorf("the next reader: %d bytes of %+v, want those of %+v", advised(t, p.reading), p.reading, before)
	}
	over()
}

// touch uses so much of the heap, and lets go of it.
func touch(bytes int) {
	b := make([]byte, bytes)
	for i := 0; i < len(b); i += 4 << 10 {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	runtime.GC()
}

// memoryOfSelf is what this process has of the machine's memory, in bytes.
func memoryOfSelf(t *testing.T) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestLargePagesForRules has them asked for before large files are read, and not for small ones.
func TestLargePagesForRules(t *testing.T) {
	if !asksForLargePages() {
		t.Skip("this kernel gives large pages to all or to none")
	}
	pages.mu.Lock()
	pages.reading = area{}
	pages.mu.Unlock()
	compile := func(text string) {
		t.Helper()
		files := compileRules(&config.Settings{}, []rule.SourceFile{{Path: "rules.yaml", Text: text}}, nil, false)
		if len(files.problems) > 0 || files.set == nil {
			t.Errorf("problems: %v", files.problems)
		}
	}
	if compile("rules: []\n"); pages.reading.size != 0 {
		t.Errorf("a small file: asked for %d bytes", pages.reading.size)
	}
	large := "rules: []\n#" + strings.Repeat(" remark", 1<<18) + "\n"
	if compile(large); pages.reading.size != heapByRules*len(large)/leastPages*leastPages || pages.readers != 0 {
		t.Errorf("a large file of %d bytes: asked for %d, and %d readers are left", len(large), pages.reading.size, pages.readers)
	}
	if got, want := advised(t, pages.reading), shared(pages.reading, pages.usual); got != want {
		t.Errorf("%d bytes are left when it is read, want %d", got, want)
	}
}
