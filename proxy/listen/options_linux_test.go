// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package listen_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vernegate/vernegate/proxy/listen"
)

// Linux ends a connection at the first unanswered probe once it has been silent for longer than TCP_USER_TIMEOUT, so that
// has to leave time for all probes.
func TestAClientMayMissAllProbesButTheLast(t *testing.T) {
	t.Parallel()
	l := listenOn(t, listen.TCP, "127.0.0.1:0")
	if c, err := net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	} else {
		defer c.Close()
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var idle, interval, count, user int
	_ = raw.Control(func(fd uintptr) {
		for option, value := range map[int]*int{
			unix.TCP_KEEPIDLE: &idle, unix.TCP_KEEPINTVL: &interval, unix.TCP_KEEPCNT: &count, unix.TCP_USER_TIMEOUT: &user,
		} {
			if *value, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil {
				t.Error(err)
			}
		}
	})
	if silence := idle + count*interval; count < 2 || interval < 1 || user != silence*1000 {
		t.Errorf("TCP_USER_TIMEOUT is %d ms with probes after %d s, %d times every %d s; want %d s", user, idle, count, interval, silence)
	}
}
