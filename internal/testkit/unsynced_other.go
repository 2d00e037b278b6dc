//go:build !linux

package testkit

import "testing"

// Unsynced tells nothing here: only Linux knows.
func Unsynced(testing.TB, string) (pages uint64, known bool) { return 0, false }
