//go:build !linux

package main

// asksForLargePages is Linux's alone.
func asksForLargePages() bool { return false }

func adviseLargePages(uintptr, int, bool) {}
