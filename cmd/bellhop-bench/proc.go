package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process has used so far, as the kernel counts it.
type usage struct {
	CPU     float64 // seconds, user and system
	PeakRSS int64   // bytes, since it started
}

// ticks is how many of the kernel's ticks make a second: USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// usageOf reads /proc.
func usageOf(pid int) (usage, error) {
	var u usage
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		if runtime.GOOS != "linux" {
			err = errors.Join(errors.New("the cost of processes is read from Linux's /proc"), err)
		}
		return u, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	if u.CPU, err = cpuOf(stat); err != nil {
		return u, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return u, fmt.Errorf("usage of process %d: %w", pid, err)
			}
			u.PeakRSS = kb << 10
		}
	}
	return u, nil
}

// cpuOf reads user and system time out of /proc/PID/stat. The name in it may hold spaces and parentheses.
func cpuOf(stat []byte) (float64, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("stat has no name")
	}
	const user, system = 11, 12 // behind the name, from 0
	f := bytes.Fields(stat[end+1:])
	if len(f) <= system {
		return 0, fmt.Errorf("stat has %d fields behind the name", len(f))
	}
	u, err := strconv.ParseFloat(string(f[user]), 64)
	if err != nil {
		return 0, fmt.Errorf("stat: %w", err)
	}
	s, err := strconv.ParseFloat(string(f[system]), 64)
	if err != nil {
		return 0, fmt.Errorf("stat: %w", err)
	}
	return (u + s) / ticks, nil
}

// resetPeak has the kernel count a process's peak memory anew, where it can.
func resetPeak(pid int) {
	const peak = "5" // proc(5), clear_refs
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte(peak), 0)
}

// machineCPU is how many seconds all of the machine's processors have worked since it started, and own how many of them were this
// process's and those of its children that have ended.
func machineCPU() (all, own float64, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("the machine's use: %w", err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	f := strings.Fields(line)
	const idle, iowait, last = 4, 5, 8 // behind "cpu": user, nice, system, idle, iowait, irq, softirq, steal; guests are in user
	if len(f) <= last || f[0] != "cpu" {
		return 0, 0, fmt.Errorf("the machine's use: /proc/stat begins with %q", line)
	}
	for i := 1; i <= last; i++ {
		n, err := strconv.ParseFloat(f[i], 64)
		if err != nil {
			return 0, 0, fmt.Errorf("the machine's use: %w", err)
		}
		if i != idle && i != iowait {
			all += n / ticks
		}
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return 0, 0, fmt.Errorf("the machine's use: %w", err)
		}
		own += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	return all, own, nil
}
