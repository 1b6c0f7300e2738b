// Copyright (c) clusterfront.ha contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// as-user runs a program as a user of this host alone, with every capability that it has itself.
//
// The kernel counts watches of files by user, 128 for each as a rule, and all containers of a machine share one root. A kubelet, an
// apiserver and a controller manager take twenty, so a few masters leave nothing to anybody. Under users of their own they don't.
//
// The program is <directory of as-user>/real/<name by which as-user was called>.
package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"
)

const (
	firstUser, users                = 60000, 5000
	setKeepCaps, capAmbient, raise  = 8, 47, 2
	capabilityVersion        uint32 = 0x20080522
)

type header struct {
	version uint32
	pid     int32
}

type sets struct{ effective, permitted, inheritable uint32 }

func try(number, one, two, three uintptr) {
	if _, _, failure := syscall.RawSyscall(number, one, two, three); failure != 0 {
		fmt.Fprintf(os.Stderr, "as-user: system call %d: %v\n", number, failure)
		os.Exit(1)
	}
}

func main() {
	// users and capabilities are a thread's own until the program takes its place
	runtime.LockOSThread()
	host, _ := os.Hostname()
	user := uintptr(firstUser + crc32.ChecksumIEEE([]byte(host))%users)
	self, _ := os.Executable()
	program := filepath.Join(filepath.Dir(self), "real", filepath.Base(os.Args[0]))
	try(syscall.SYS_PRCTL, setKeepCaps, 1, 0)
	try(syscall.SYS_SETRESUID, user, user, user)
	head, data := header{version: capabilityVersion}, [2]sets{}
	try(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data)), 0)
	for half := range data {
		data[half].effective, data[half].inheritable = data[half].permitted, data[half].permitted
	}
	try(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data)), 0)
	for capability := 0; capability < 64; capability++ {
		if data[capability/32].permitted>>(capability%32)&1 == 1 {
			try(syscall.SYS_PRCTL, capAmbient, raise, uintptr(capability))
		}
	}
	err := syscall.Exec(program, os.Args, os.Environ())
	fmt.Fprintf(os.Stderr, "as-user: %s: %v\n", program, err)
	os.Exit(127)
}
