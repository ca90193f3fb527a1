// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command broker takes VerneMQ's place where its image cannot be had: it reads the same
// vernemq.conf and vmq.acl, listens where they say, and answers the same health checks.
//
//	broker [CONF [DATA]]     VerneMQ's own, in its image, if they are not named
//
// It speaks MQTT 3.1.1 and 5.0 with QoS 0 and 1, and keeps persistent sessions in memory;
// when it is told to end, it writes them into the folder DATA, if there is one. What tests rely on is that it loses nothing: PUBLISH is acknowledged
// when the message is in the session of every subscriber, and a session that moves from
// one connection to another takes all of its messages along. It knows no wills, no retained
// messages, no shared subscriptions and no QoS 2.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
	"golang.org/x/sync/errgroup"
)

// Where VerneMQ's image expects a whole configuration, and where it keeps its data.
const (
	defaultConf = "/vernemq/etc/vernemq.conf.local"
	defaultData = "/vernemq/data"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	places := []string{defaultConf, defaultData}
	copy(places, os.Args[1:])
	if err := run(ctx, places[0], places[1], slog.New(slog.NewTextHandler(os.Stdout, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

// run serves as the configuration says until ctx ends.
func run(ctx context.Context, path, data string, log *slog.Logger) error {
	conf, err := readConf(path)
	if err != nil {
		return err
	}
	b := newBroker(conf.rules, log)
	if err := b.load(data); err != nil {
		return err
	}
	serving, ctx := errgroup.WithContext(ctx)
	for _, l := range conf.mqtt {
		listener, err := l.listen()
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { listener.Close() })
		serving.Go(func() error { return b.serve(ctx, listener) })
	}
	for _, addr := range conf.http {
		s := &http.Server{Addr: addr, Handler: http.HandlerFunc(healthy), ReadHeaderTimeout: 5 * time.Second}
		context.AfterFunc(ctx, func() { s.Close() })
		serving.Go(s.ListenAndServe)
	}
	<-ctx.Done()
	failed := serving.Wait()
	if errors.Is(failed, net.ErrClosed) || errors.Is(failed, http.ErrServerClosed) {
		failed = nil // that was us
	}
	return errors.Join(failed, b.save(data))
}

// healthy answers as VerneMQ does below /health.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"OK"}`))
}

// listen opens a listener. With the PROXY protocol, a connection without a header fails
// when it is first read from.
func (l mqttListener) listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", l.addr)
	if err != nil || !l.proxy {
		return listener, err
	}
	required := func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.REQUIRE, nil }
	return &proxyproto.Listener{Listener: listener, ConnPolicy: required}, nil
}
