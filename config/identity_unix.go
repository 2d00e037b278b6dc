//go:build unix

package config

import (
	"io/fs"
	"syscall"
)

// identity is the file's number in its file system: a file renamed over another of the same size and time has another one.
func identity(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino)
	}
	return 0
}
