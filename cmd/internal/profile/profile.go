// Package profile writes the profiles of a whole process into a folder. It is off unless somebody asks for it.
package profile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

const (
	// blockRate samples what blocks for less than this many nanoseconds in proportion; every event would cost more than it tells.
	blockRate = 10_000
	// mutexFraction has one of so many contended locks recorded.
	mutexFraction = 100
)

// Start begins to profile into a folder, which it makes where there is none. Stop writes what was gathered: cpu.pprof, of the
// time since Start; allocs, heap, mutex, block and goroutine.pprof. It is to be called once.
func Start(dir string) (stop func() error, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), cpu.Close())
	}
	runtime.SetBlockProfileRate(blockRate)
	runtime.SetMutexProfileFraction(mutexFraction)
	return func() error {
		pprof.StopCPUProfile()
		runtime.SetBlockProfileRate(0)
		runtime.SetMutexProfileFraction(0)
		errs := []error{cpu.Close()}
		for _, name := range []string{"allocs", "heap", "mutex", "block", "goroutine"} {
			errs = append(errs, write(dir, name))
		}
		return errors.Join(errs...)
	}, nil
}

func write(dir, name string) error {
	f, err := os.Create(filepath.Join(dir, name+".pprof"))
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := pprof.Lookup(name).WriteTo(f, 0); err != nil {
		return errors.Join(fmt.Errorf("profile %s: %w", name, err), f.Close())
	}
	return f.Close()
}
