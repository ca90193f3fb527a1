// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/vernegate/vernegate/truststore"
)

// tell logs what kept the service manager from hearing something. Nothing else
// depends on it: a manager that waits in vain restarts the process by itself.
func (a *App) tell(err error) {
	if err != nil {
		a.log.Warn("the service manager does not hear", "err", err)
	}
}

// reloadFiles reads the files now, as an operator has asked for, and has the
// service manager know that it does.
func (a *App) reloadFiles(ctx context.Context, parts *components) error {
	a.tell(a.manager.Reloading())
	err := parts.reload(ctx)
	a.tell(a.manager.Ready(takingClients(parts.store, err)))
	return err
}

// takingClients says what clients are verified against, and that the last reload
// found something wrong if it did. What that was is in the log.
func takingClients(store *truststore.Store, reload error) string {
	status := fmt.Sprintf("taking clients, generation %d of the trust files", store.Current().Sequence())
	if reload != nil {
		status += "; not all that is in the files is in use, see the log"
	}
	return status
}
