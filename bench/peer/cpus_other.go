// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package peer

import "errors"

// errLinux is why nothing is measured elsewhere: processors, CPU time and memory are read where Linux shows them.
var errLinux = errors.New("the bench needs Linux")

// Split fails: the bench needs Linux.
func Split() (proxy, load CPUs, err error) { return nil, nil, errLinux }

// Confine fails: the bench needs Linux.
func Confine(CPUs) error { return errLinux }

func (c CPUs) within(f func() error) error { return f() }
