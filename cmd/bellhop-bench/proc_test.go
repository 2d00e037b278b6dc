package main

import (
	"os"
	"runtime"
	"testing"
)

func TestCPUOf(t *testing.T) {
	got, err := cpuOf([]byte("12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 150 0 0"))
	if err != nil || got != 4 {
		t.Errorf("cpuOf = %v, %v, want 4 s", got, err)
	}
	for _, bad := range []string{"", "12 (a) S 1 2", "1 (a) S 1 2 3 4 5 6 7 8 9 10 x 150"} {
		if _, err := cpuOf([]byte(bad)); err == nil {
			t.Errorf("cpuOf(%q): no error, want one", bad)
		}
	}
}

func TestUsageOf(t *testing.T) {
	if runtime.GOOS != "linux" {
		if _, err := usageOf(os.Getpid()); err == nil {
			t.Error("usageOf without /proc: no error, want one")
		}
		return
	}
	u, err := usageOf(os.Getpid())
	if err != nil || u.PeakRSS < 1<<20 {
		t.Errorf("usageOf this process = %+v, %v, want a megabyte at least", u, err)
	}
	all, own, err := machineCPU()
	if err != nil || own <= 0 || all < own {
		t.Errorf("machineCPU = %v, %v, %v, want more than this process's own", all, own, err)
	}
}
