package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end a child whose parent is gone.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
