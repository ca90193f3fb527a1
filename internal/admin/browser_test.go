// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A browser is a headless Chromium with one page.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // of the page's console
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

// startBrowser starts a browser with one empty page and a profile of its own, until the
// test ends.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := findChromium()
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t}
	var end context.CancelFunc
	b.ctx, end = chromedp.NewExecAllocator(context.Background(), append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // which root cannot have
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
	)...)
	t.Cleanup(end)
	b.ctx, _ = chromedp.NewContext(b.ctx, chromedp.WithListener(b.note))
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// note keeps what the page's console complains of.
func (b *browser) note(event any) {
	switch event.(type) {
	case *log.EventEntryAdded, *runtime.EventConsoleAPICalled, *runtime.EventExceptionThrown, *network.EventLoadingFailed:
		text, err := json.Marshal(event)
		if err != nil {
			text = []byte(err.Error())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, fmt.Sprintf("%T %s", event, text))
	}
}

// trouble returns what the page's console has complained of.
func (b *browser) trouble() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.complaints)
}

// call sends a command of the DevTools protocol.
func call[P any](b *browser, command cdp.Command[P, cdp.Empty], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
}

// run returns the result of an action.
func run[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatalf("driving the browser: %v", err)
	}
	return result
}

// open loads a page in a window of this width, in CSS pixels.
func (b *browser) open(url, scheme string, width int64) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 600,
	})
	run(b, chromedp.Navigate(url))
}

// eval stores the value of an expression in the page.
func (b *browser) eval(expression string, value any) {
	b.t.Helper()
	if err := json.Unmarshal(run(b, chromedp.Evaluate[[]byte](expression)), value); err != nil {
		b.t.Fatalf("evaluating %s: %v", expression, err)
	}
}

// screenshot is a picture of the whole page.
func (b *browser) screenshot() (png []byte) {
	b.t.Helper()
	return run(b, chromedp.FullScreenshot(100))
}
