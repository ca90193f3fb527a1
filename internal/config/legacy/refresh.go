// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"math"
	"strconv"
	"time"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

const refreshInterval = "VERNEGATE_TRUST_REFRESH_INTERVAL"

// refreshKeys are how often the patched broker read its CA bundle and its CRLs
// again, in milliseconds; 0 is never.
var refreshKeys = []string{"ssl_trusted_cert_refresh_interval", "crl_refresh_interval"}

// refresh takes the shorter interval: vernegate reads all files together. When
// all that is said is never, it does not poll either, though it still notices
// when files change.
func (t *translator) refresh() {
	shortest := int64(math.MaxInt64)
	var from []vernemqconf.Setting
	for _, key := range refreshKeys {
		s, ok := t.settings.Get(key)
		if !ok {
			continue
		}
		from = append(from, s)
		ms, err := strconv.ParseInt(s.Value, 10, 64)
		if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
			t.mistake("%v: %q is no number of milliseconds", s, s.Value)
		} else if ms > 0 {
			shortest = min(shortest, ms)
		}
	}
	if shortest == math.MaxInt64 {
		shortest = 0
	}
	t.set(refreshInterval, (time.Duration(shortest) * time.Millisecond).String(), from...)
}
