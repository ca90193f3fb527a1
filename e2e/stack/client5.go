// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	paho5 "github.com/eclipse/paho.golang/paho"
)

// sessionExpiry is how long, in seconds, the broker keeps a persistent session.
const sessionExpiry = 300

// packetTimeout is how long paho.golang waits for the answer to a packet: longer
// than any caller's context.
const packetTimeout = time.Minute

// client5 is a client of 5.0.
type client5 struct{ *paho5.Client }

// connect5 connects c with paho.golang.
func (c *Client) connect5(ctx context.Context, o Options) error {
	var once sync.Once
	drop := func() { once.Do(func() { close(c.dropped) }) }
	client := client5{paho5.NewClient(paho5.ClientConfig{
		Conn:          packets.NewThreadSafeConn(c.conn), // it writes a packet in several pieces
		PacketTimeout: packetTimeout,
		OnPublishReceived: []func(paho5.PublishReceived) (bool, error){
			func(r paho5.PublishReceived) (bool, error) {
				m := r.Packet
				c.inbox <- Message{m.Topic, string(m.Payload), m.QoS, m.Retain}
				return true, nil
			},
		},
		OnServerDisconnect: func(*paho5.Disconnect) { drop() },
		OnClientError:      func(error) { drop() },
	})}
	connack, err := client.Connect(ctx, connectPacket5(o))
	if connack != nil && connack.ReasonCode >= 0x80 {
		return &RefusedError{Code: connack.ReasonCode}
	}
	if err != nil {
		return fmt.Errorf("connecting with %s: %w", o.Version, err)
	}
	c.paho, c.SessionPresent = client, connack.SessionPresent
	return nil
}

func connectPacket5(o Options) *paho5.Connect {
	cp := &paho5.Connect{
		ClientID:     o.ClientID,
		Username:     o.Username,
		UsernameFlag: o.Username != "",
		CleanStart:   !o.Persistent,
		KeepAlive:    uint16(pahoKeepAlive.Seconds()),
	}
	if o.Persistent {
		cp.Properties = &paho5.ConnectProperties{SessionExpiryInterval: new(uint32(sessionExpiry))}
	}
	if o.Will != nil {
		cp.WillMessage = &paho5.WillMessage{
			Topic:   o.Will.Topic,
			Payload: []byte(o.Will.Payload),
			QoS:     o.Will.QoS,
			Retain:  o.Will.Retain,
		}
	}
	return cp
}

func (p client5) publish(ctx context.Context, m Message) error {
	_, err := p.Publish(ctx, &paho5.Publish{Topic: m.Topic, Payload: []byte(m.Payload), QoS: m.QoS, Retain: m.Retain})
	return err
}

func (p client5) subscribe(ctx context.Context, filter string, qos byte) (byte, error) {
	suback, err := p.Subscribe(ctx, &paho5.Subscribe{
		Subscriptions: []paho5.SubscribeOptions{{Topic: filter, QoS: qos}},
	})
	if suback == nil || len(suback.Reasons) != 1 {
		return 0, err
	}
	return suback.Reasons[0], err
}

func (p client5) disconnect() {
	_ = p.Disconnect(&paho5.Disconnect{}) // the connection may be gone
}
