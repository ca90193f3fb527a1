// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/proxy/listen"
)

// An entrance is where clients come in, as the configuration says.
type entrance struct {
	variable string // of the address
	address  string // "" = there is none
	role     proxy.Role
	protocol proxy.Protocol
}

// entrances lists where clients come in. That for devices is the first.
func (a *App) entrances() []entrance {
	devices := proxy.MQTT
	if a.cfg.ListenALPN {
		devices = proxy.ByALPN
	}
	return []entrance{
		{"VERNEGATE_LISTEN", string(a.cfg.Listen), proxy.Devices, devices},
		{"VERNEGATE_SERVICE_LISTEN", string(a.cfg.ServiceListen), proxy.Services, proxy.MQTT},
		{"VERNEGATE_WS_LISTEN", string(a.cfg.WSListen), proxy.WebSockets, proxy.WebSocket},
	}
}

// openListeners listens for clients, on all addresses or, with an error, on none.
func (a *App) openListeners(ctx context.Context) (listeners []proxy.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			listeners = nil
		}
	}()
	variables := make(map[string]string) // of the addresses that are taken
	for _, e := range a.entrances() {
		if e.address == "" {
			continue
		}
		l, err := a.listen(ctx, e)
		if err != nil {
			return listeners, listenError(e.variable, err)
		}
		listeners = append(listeners, l)
		address := l.Addr().String()
		if other := variables[address]; other != "" { // two names for it, and it is shared
			return listeners, listenError(e.variable, fmt.Errorf("%s is that of %s", address, other))
		}
		variables[address] = e.variable
	}
	for _, l := range listeners {
		a.log.Info("listening", "listener", l.Role.String(), "address", l.Addr().String())
	}
	return listeners, nil
}

func (a *App) listen(ctx context.Context, e entrance) (proxy.Listener, error) {
	l := proxy.Listener{Role: e.role, Protocol: e.protocol}
	var err error
	if a.cfg.ReusePort {
		l.Listener, err = listen.SharedTCP(ctx, e.address)
	} else {
		l.Listener, err = listen.TCP(ctx, e.address)
	}
	return l, err
}
