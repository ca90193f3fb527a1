// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package legacy says what the configuration of dojot's patched VerneMQ means
// for vernegate: which of vernegate's variables its settings come to, which of
// them vernegate cannot do, and which contradict each other.
//
// It judges the settings of TLS listeners and what the patches read; all others
// are the broker's or of no VerneMQ, and it has nothing to say about them.
package legacy
