package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"bellhop/dispatcher/rule"
)

// advised is how many bytes of this process are in areas that large pages were asked for.
func advised(t *testing.T) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	total, size := 0, 0
	for line := range strings.Lines(string(maps)) {
		switch name, rest, _ := strings.Cut(line, ":"); name {
		case "Size":
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			size = n << 10
		case "VmFlags":
			if strings.Contains(line, " hg") {
				total += size
			}
		}
	}
	return total
}

// TestLargePages asks the kernel what was asked of it.
func TestLargePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no transparent large pages")
	}
	var p largePages
	for _, step := range []struct{ expect, want int }{
		{usualHeap / 8, 0}, // not worth it
		{usualHeap, usualHeap},
		{usualHeap, usualHeap},
		{usualHeap + usualHeap/8, usualHeap},
		{2 * usualHeap, 2 * usualHeap},
	} {
		p.expect(step.expect)
		if p.asked != step.want {
			t.Errorf("asked for %d MB once %d MB are expected, want %d", p.asked>>20, step.expect>>20, step.want>>20)
		}
		if got := advised(t); got < step.want {
			t.Errorf("the kernel knows of %d MB, want %d at least", got>>20, step.want>>20)
		}
	}
	// Room is taken from the machine as it is touched, not before.
	if rss := residentMB(t); rss > 1000 {
		t.Errorf("%d MB are resident", rss)
	}
}

// TestLargePagesForRules has what reading large files will take asked for before they are read, and nothing for small ones.
func TestLargePagesForRules(t *testing.T) {
	kept := pages.asked
	defer func() { pages.asked = kept }()
	pages.asked = 0
	if _, problems := parseRules([]rule.SourceFile{{Path: "small.yaml", Text: "rules: []\n"}}); len(problems) != 0 || pages.asked != 0 {
		t.Errorf("a small file: %v, asked for %d bytes", problems, pages.asked)
	}
	large := "rules: []\n#" + strings.Repeat(" remark", 1<<18) + "\n"
	if _, problems := parseRules([]rule.SourceFile{{Path: "large.yaml", Text: large}}); len(problems) != 0 || pages.asked != heapByRules*len(large) {
		t.Errorf("a large file of %d bytes: %v, asked for %d", len(large), problems, pages.asked)
	}
}

func residentMB(t *testing.T) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n * os.Getpagesize() >> 20
}
