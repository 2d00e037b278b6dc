package main

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// asksForLargePages tells whether this kernel gives large pages to those who ask for them, and to nobody else
// (Documentation/admin-guide/mm/transhuge.rst), and there are addresses enough to ask for.
var asksForLargePages = sync.OnceValue(func() bool {
	if strconv.IntSize < 64 {
		return false
	}
	setting, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return err == nil && bytes.Contains(setting, []byte("[madvise]"))
})

// adviseLargePages tells the kernel whether large pages are wanted at these addresses. By a bare number: nothing there is touched, and
// nothing is to be held for it.
func adviseLargePages(at uintptr, size int, large bool) {
	advice := uintptr(syscall.MADV_NOHUGEPAGE)
	if large {
		advice = syscall.MADV_HUGEPAGE
	}
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, at, uintptr(size), advice)
}
