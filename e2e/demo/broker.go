// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"sync"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A broker is an MQTT broker in this process that lets everybody in and remembers
// the username that each client id came with.
type broker struct {
	addr   string
	server *mqtt.Server
	hook   *usernameHook
}

// startBroker starts a broker on a free loopback port. The caller closes it.
func startBroker() (*broker, error) {
	addr, err := stack.FreeAddr()
	if err != nil {
		return nil, err
	}
	b := &broker{
		addr:   addr,
		server: mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)}),
		hook:   &usernameHook{usernames: make(map[string]string)},
	}
	if err := b.server.AddHook(b.hook, nil); err != nil {
		return nil, err
	}
	if err := b.server.AddListener(listeners.NewTCP(listeners.Config{ID: "plain", Address: addr})); err != nil {
		return nil, err
	}
	return b, b.server.Serve()
}

func (b *broker) close() { b.server.Close() }

// A usernameHook is a hook of the broker: it lets every client in and remembers its username.
type usernameHook struct {
	mqtt.HookBase

	mu        sync.Mutex
	usernames map[string]string               // by client id
	announce  func(clientID, username string) // called for every client; nil = no call
}

// ID implements mqtt.Hook.
func (*usernameHook) ID() string { return "usernames" }

// Provides implements mqtt.Hook.
func (*usernameHook) Provides(event byte) bool {
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck}, []byte{event})
}

// OnConnectAuthenticate implements mqtt.Hook.
func (g *usernameHook) OnConnectAuthenticate(_ *mqtt.Client, connect packets.Packet) bool {
	clientID, username := connect.Connect.ClientIdentifier, string(connect.Connect.Username)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.usernames[clientID] = username
	if g.announce != nil {
		g.announce(clientID, username)
	}
	return true
}

// OnACLCheck implements mqtt.Hook.
func (*usernameHook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// tell calls f for every client from now on, one at a time.
func (g *usernameHook) tell(f func(clientID, username string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.announce = f
}

// username is what clientID came with; ok is false if it never came.
func (g *usernameHook) username(clientID string) (name string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name, ok = g.usernames[clientID]
	return name, ok
}
