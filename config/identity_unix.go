//go:build unix && !linux

package config

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity is the file's number in its file system: a file renamed over another of the same size and time has another one.
func identity(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(s.Ino)
	}
	return ""
}
