package config

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity is the file's number in its file system, and when that was told of a change last: a file renamed over another of the same
// size and time has another number, and one that was written in place and given its old time back another change.
func identity(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(s.Ino, s.Ctim.Nano())
	}
	return ""
}
