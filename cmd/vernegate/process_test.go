// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/packets"
)

// beVernegate, set in the environment, makes the test binary the program.
const beVernegate = "BE_VERNEGATE"

func TestMain(m *testing.M) {
	if os.Getenv(beVernegate) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is a vernegate in a process of its own, which signals can be sent to.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	logs *bufio.Scanner

	stderr io.Closer // the end that logs is read from
}

// launch starts a process, which is killed at the test's end at the latest.
func (w *world) launch() *process {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], "serve")
	cmd.Env = append(w.Environ(), beVernegate+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &process{w.t, cmd, bufio.NewScanner(stderr), stderr}
}

// await returns the next log line with this message, and drops those before it.
func (p *process) await(message string) logLine {
	p.t.Helper()
	for p.logs.Scan() {
		var line logLine
		if err := json.Unmarshal(p.logs.Bytes(), &line); err == nil && line["msg"] == message {
			return line
		}
	}
	p.t.Fatalf("it ended before it logged %q", message)
	return nil
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the end of the process and returns how it ended.
func (p *process) end() syscall.WaitStatus {
	p.t.Helper()
	for p.logs.Scan() { // Wait closes the pipe
	}
	_ = p.cmd.Wait() // what it returns is in ProcessState
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

func TestSignalsStopTheProcess(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			p := newWorld(t).launch()
			p.await("started")
			p.signal(s)
			if status := p.end(); !status.Exited() || status.ExitStatus() != exitOK {
				t.Errorf("ends with status %#x, want exit code %d", status, exitOK)
			}
		})
	}
}

// TestProcessOutlivesTheReaderOfItsLog has something logged that nobody reads.
func TestProcessOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	p := newWorld(t).launch()
	admin := p.await("listening")["address"].(string)
	devices := p.await("listening")["address"].(string)
	p.await("started")
	if err := p.stderr.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each is worth a line
		conn, err := net.Dial("tcp", devices)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte("not TLS"))
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	if status, _ := get(t, "http://"+admin+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz says %d", status)
	}
	p.signal(syscall.SIGTERM)
	if status := p.end(); !status.Exited() || status.ExitStatus() != exitOK {
		t.Errorf("ends with status %#x, want exit code %d", status, exitOK)
	}
}

func TestHangupWhileWaitingForFilesDoesNotKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, err := os.ReadFile(w.Vars["VERNEGATE_TLS_CA"])
	if err != nil {
		t.Fatal(err)
	}
	w.Write("ca.crt", nil)
	p := w.launch()
	p.await("waiting for a good set of trust files")
	p.signal(syscall.SIGHUP)
	w.Write("ca.crt", ca)
	p.await("started")
}

// TestSecondSignalKills holds a session open that cannot end in an orderly way:
// its client does not read what its broker has sent.
func TestSecondSignalKills(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ACL.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"acme:lamp"`)) })
	p := w.launch()
	p.await("listening")
	devices := p.await("listening")["address"].(string)
	p.await("started")
	conn, err := tls.Dial("tcp", devices, &tls.Config{
		RootCAs:      w.Root.Pool(),
		Certificates: []tls.Certificate{w.Root.Issue("lamp").TLS()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(connectPacket)); err != nil {
		t.Fatal(err)
	}
	if err := w.flood(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("flooding the client: %v, want it to block", err)
	}
	p.signal(syscall.SIGTERM)
	p.await("stopping")
	again := time.NewTicker(10 * time.Millisecond) // the first one may not be dealt with yet
	defer again.Stop()
	ended := make(chan syscall.WaitStatus, 1)
	go func() { ended <- p.end() }()
	for begin := time.Now(); ; {
		select {
		case <-again.C:
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
		case status := <-ended:
			if !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("ends with status %#x after %v, want SIGTERM to have killed it", status, time.Since(begin))
			}
			return
		}
	}
}

// flood accepts one client of the backend, and sends to it until that has
// blocked for a while.
func (w *world) flood() error {
	conn, err := w.Backend.Accept()
	if err != nil {
		return err
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	if _, err := packets.ReadConnect(conn, 1<<10); err != nil {
		return err
	}
	if _, err := conn.Write(packets.AppendConnack(nil, packets.V311, 0, 0)); err != nil {
		return err
	}
	for {
		if err := conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return err
		}
		// PUBLISH, QoS 0, topic "a", as much payload as two bytes of length can say.
		publish := append([]byte("0\xff\x7f\x00\x01a"), make([]byte, 16383-3)...)
		if _, err := conn.Write(publish); err != nil {
			return err
		}
	}
}
