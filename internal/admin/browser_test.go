// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A browser is a headless Chromium that is told what to do over a pipe, in the
// DevTools protocol: one JSON document after the other, each ended by a NUL.
type browser struct {
	t        *testing.T
	commands *os.File
	events   chan message // answers and events, in the order they came
	calls    int
	page     string   // the session of the one page
	trouble  []string // what the page's console complained of
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// findChromium returns the program that CHROMIUM names, or that is installed.
func findChromium() (string, error) {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium: make tools installs it where apt is there; else CHROMIUM names one")
}

// startBrowser starts a browser with one empty page, until the test ends.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := findChromium()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "vernegate-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, path, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
		"--user-data-dir="+profile)
	theirs, ours := mustPipe(t)
	answers, replies := mustPipe(t)
	cmd.ExtraFiles = []*os.File{theirs, replies} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirs.Close(), replies.Close()
	b := &browser{t: t, commands: ours, events: make(chan message, 1000)}
	go b.listen(answers)
	t.Cleanup(func() {
		_ = ours.Close() // which ends it
		for range b.events {
			continue
		}
		_ = cmd.Wait()
		cancel()
		removeProfile(t, profile)
	})
	b.openPage()
	return b
}

// removeProfile tries again while the last of the browser's processes, which
// are not ours to wait for, still write into it.
func removeProfile(t *testing.T, profile string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := os.RemoveAll(profile)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
	}
}

func mustPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// listen takes what the browser says until it ends.
func (b *browser) listen(answers *os.File) {
	defer close(b.events)
	defer func() { _ = answers.Close() }()
	for r := bufio.NewReader(answers); ; {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) == nil {
			b.events <- m
		}
	}
}

func (b *browser) openPage() {
	b.t.Helper()
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct {
		SessionID string `json:"sessionId"`
	}
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.page = session.SessionID
	for _, domain := range []string{"Page", "Log", "Runtime", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
}

// call sends a command and waits for its answer.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.calls++
	encoded, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	command, err := json.Marshal(message{ID: b.calls, SessionID: b.page, Method: method, Params: encoded})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.commands.Write(append(command, 0)); err != nil {
		b.t.Fatalf("telling the browser: %v", err)
	}
	answer := b.await(method, func(m message) bool { return m.ID == b.calls })
	if answer.Error != nil {
		b.t.Fatalf("%s: %s", method, answer.Error.Message)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		b.t.Fatalf("%s: %v in %s", method, err, answer.Result)
	}
}

// await returns the next message that is right, and notes complaints on the way.
func (b *browser) await(what string, right func(message) bool) message {
	b.t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case m, ok := <-b.events:
			if !ok {
				b.t.Fatalf("the browser ended during %s", what)
			}
			switch m.Method {
			case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Network.loadingFailed":
				b.trouble = append(b.trouble, fmt.Sprintf("%s %s", m.Method, m.Params))
			}
			if right(m) {
				return m
			}
		case <-patience:
			b.t.Fatalf("waiting for the browser's %s", what)
		}
	}
}

// open loads a page in a window of this width, in CSS pixels.
func (b *browser) open(url, scheme string, width int) {
	b.t.Helper()
	b.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
	}, nil)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.await("load", func(m message) bool { return m.Method == "Page.loadEventFired" })
}

// eval is the value of an expression in the page.
func (b *browser) eval(expression string, value any) {
	b.t.Helper()
	result := struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails json.RawMessage `json:"exceptionDetails"`
	}{}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &result)
	if result.ExceptionDetails != nil {
		b.t.Fatalf("evaluating: %s", result.ExceptionDetails)
	}
	if err := json.Unmarshal(result.Result.Value, value); err != nil {
		b.t.Fatalf("evaluating: %v in %s", err, result.Result.Value)
	}
}

// screenshot is a picture of the whole page.
func (b *browser) screenshot() (png []byte) {
	b.t.Helper()
	var shot struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	return shot.Data
}
