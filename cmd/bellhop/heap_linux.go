package main

import "syscall"

// askLargePages has the kernel back memory with large pages where it is touched.
func askLargePages(b []byte) error { return syscall.Madvise(b, syscall.MADV_HUGEPAGE) }
