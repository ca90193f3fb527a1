// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mochi-mqtt/server/v2/packets"
)

// sessionsFile is the file of the data folder that sessions are kept in.
const sessionsFile = "sessions.json"

// kept is what of a session outlives the broker.
type kept struct {
	Username string
	Filters  map[string]byte
	LastID   uint16
	Queue    []keptMessage
}

type keptMessage struct {
	ID      uint16
	Topic   string
	Payload []byte
}

// save writes the sessions into the data folder, when no client is connected any more. Where
// there is no such folder, they end with the broker.
func (b *broker) save(dir string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string]kept)
	for id, s := range b.sessions {
		k := kept{Username: s.username, Filters: s.filters, LastID: s.lastID}
		for _, message := range s.queue {
			k.Queue = append(k.Queue, keptMessage{message.PacketID, message.TopicName, message.Payload})
		}
		all[id] = k
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(dir, sessionsFile), text, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// load takes up the sessions that the broker before has saved, if it has.
func (b *broker) load(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, sessionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all map[string]kept
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for id, k := range all {
		s := &session{username: k.Username, persistent: true, filters: k.Filters, lastID: k.LastID}
		for _, m := range k.Queue {
			s.queue = append(s.queue, newMessage(m.Topic, m.Payload, m.ID))
		}
		b.sessions[id] = s
	}
	return nil
}

// newMessage makes a PUBLISH with QoS 1, or with QoS 0 if the packet id is 0.
func newMessage(topic string, payload []byte, id uint16) *packets.Packet {
	p := &packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: topic, Payload: payload, PacketID: id}
	if id != 0 {
		p.FixedHeader.Qos = 1
	}
	return p
}
