// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestUnitsAreHardened holds what systemd rates the units at: below 2.0, of 10, with a
// low port, too.
func TestUnitsAreHardened(t *testing.T) {
	t.Parallel()
	if err := exec.Command("systemd-analyze", "security", "--offline=true", "--help").Run(); err != nil {
		t.Skip("there is no systemd-analyze from version 250 on")
	}
	units := t.TempDir()
	for _, unit := range []string{"vernegate.service", "vernegate@.service"} {
		checkExposure(t, filepath.Join("../packaging/systemd", unit))
		copyFile(t, filepath.Join("../packaging/systemd", unit), filepath.Join(units, unit))
		copyFile(t, "../packaging/systemd/low-port.conf", filepath.Join(units, unit+".d", "low-port.conf"))
		checkExposure(t, filepath.Join(units, unit))
	}
}

func checkExposure(t *testing.T, unit string) {
	t.Helper()
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=19", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", unit, err, out)
	}
}
