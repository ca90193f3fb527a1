// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// pahoKeepAlive is the keep alive of every Client: long enough that no PINGREQ
// comes into a test.
const pahoKeepAlive = 60 * time.Second

// paho3 is a client of 3.1 or 3.1.1.
type paho3 struct{ mqtt.Client }

// connect3 connects c with paho.mqtt.golang.
func (c *Client) connect3(ctx context.Context, o Options) error {
	client := paho3{mqtt.NewClient(c.options3(o))}
	token := client.Connect().(*mqtt.ConnectToken)
	err := await(ctx, token)
	if code := token.ReturnCode(); err != nil && code > 0 && code < 0xFE { // 0xFE: no CONNACK came
		return &RefusedError{Code: code}
	}
	if err != nil {
		return fmt.Errorf("connecting with %s: %w", o.Version, err)
	}
	c.paho, c.SessionPresent = client, token.SessionPresent()
	return nil
}

func (c *Client) options3(o Options) *mqtt.ClientOptions {
	options := mqtt.NewClientOptions().
		AddBroker("tcp://the.connection.below:1883").
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return c.conn, nil }).
		SetProtocolVersion(uint(o.Version)).
		SetClientID(o.ClientID).
		SetUsername(o.Username).
		SetCleanSession(!o.Persistent).
		SetKeepAlive(pahoKeepAlive).
		SetAutoReconnect(false).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			c.inbox <- Message{m.Topic(), string(m.Payload()), m.Qos(), m.Retained()}
		}).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(c.dropped) })
	if o.Will != nil {
		options.SetBinaryWill(o.Will.Topic, []byte(o.Will.Payload), o.Will.QoS, o.Will.Retain)
	}
	return options
}

func (p paho3) publish(ctx context.Context, m Message) error {
	return await(ctx, p.Publish(m.Topic, m.QoS, m.Retain, m.Payload))
}

func (p paho3) subscribe(ctx context.Context, filter string, qos byte) (byte, error) {
	token := p.Subscribe(filter, qos, nil).(*mqtt.SubscribeToken)
	err := await(ctx, token)
	granted, ok := token.Result()[filter]
	if err == nil && !ok {
		err = errors.New("SUBACK without a code")
	}
	return granted, err
}

func (p paho3) disconnect() { p.Disconnect(uint(time.Second.Milliseconds())) }

// await waits for what a token stands for.
func await(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}
