//go:build !linux

package main

import "errors"

// askLargePages is Linux's alone.
func askLargePages([]byte) error { return errors.ErrUnsupported }
