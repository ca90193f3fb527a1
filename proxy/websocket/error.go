// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package websocket

import (
	"errors"
	"fmt"
	"net/http"
)

// A RefusedError is a request that was answered with something else than an upgrade.
type RefusedError struct {
	Status int // of the answer
	Err    error
}

// Error names status and mistake.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d %s: %v", e.Status, http.StatusText(e.Status), e.Err)
}

// Unwrap returns the mistake.
func (e *RefusedError) Unwrap() error { return e.Err }

// A FrameError is something that a client must not send.
type FrameError struct {
	Code int // of the close frame that answers it (RFC 6455 §7.4.1)
	Err  error
}

// Error names the mistake.
func (e *FrameError) Error() string { return e.Err.Error() }

// Unwrap returns the mistake.
func (e *FrameError) Unwrap() error { return e.Err }

// A ClosedError is the client's close frame.
type ClosedError struct {
	Code int // 1005 if there was none in it (RFC 6455 §7.1.5)
}

// Error names the code.
func (e *ClosedError) Error() string { return fmt.Sprintf("close frame with code %d", e.Code) }

var (
	errText     = errors.New("a text frame, where MQTT wants binary ones")
	errTooLarge = fmt.Errorf("a frame of more than %d bytes", maxMessage)
	errClosed   = errors.New("the stream is closed")
)
