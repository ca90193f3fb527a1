// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/due"
)

// TestPageSaysWhatIsDueWhen compares the table in docs/kubernetes.md, and what is below it, with the rule.
func TestPageSaysWhatIsDueWhen(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	// before returns how long before the end a time is, in units.
	before := func(at time.Time, unit time.Duration) int { return int(end.Sub(at) / unit) }
	// share returns which part of a short life is left then.
	const short = 30 * hour
	share := func(at time.Time) string {
		return map[time.Duration]string{short / 10: "a tenth", short / 30: "a thirtieth"}[end.Sub(at)]
	}
	server, briefServer := due.ServerCertificate(end.Add(-10*365*day), end), due.ServerCertificate(end.Add(-short), end)
	ca, briefCA := due.CA(end.Add(-10*365*day), end), due.CA(end.Add(-short), end)
	late, graceEnds := due.CRL(end, end.Add(10*day)), due.CRL(end.Add(-10*day), end)
	half := 2 * before(graceEnds.Critical, hour) // of a grace that is shorter, half counts
	page := strings.Join(strings.Fields(read(t, "../../docs/kubernetes.md")), " ")
	for _, want := range []string{
		fmt.Sprintf("| certificate of the server, or shown to brokers and certificate-acl | %d days before it expires, or %s of its life if that is less | %d days, or %s of its life if that is less |",
			before(server.Warning, day), share(briefServer.Warning), before(server.Critical, day), share(briefServer.Critical)),
		fmt.Sprintf("| CA | %d days before it expires, or %s of its life if that is less | when it has expired |", before(ca.Warning, day), share(briefCA.Warning)),
		fmt.Sprintf("| CRL | %d hours after its next update", int(late.Warning.Sub(end)/hour)),
		fmt.Sprintf("| %d hours before `VERNEGATE_CRL_EXPIRED_GRACE` ends |", before(graceEnds.Critical, hour)),
		fmt.Sprintf("With a grace of less than %s hours, a CRL is critical after half of it.", map[int]string{8: "eight"}[half]),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/kubernetes.md does not say %q", want)
		}
	}
	if !ca.Critical.Equal(end) || !briefCA.Critical.Equal(end) {
		t.Error("a CA is critical before it has expired")
	}
	if grace := 8*hour - time.Minute; !due.CRL(end, end.Add(grace)).Critical.Equal(end.Add(grace / 2)) {
		t.Errorf("with a grace of %v, a CRL is not critical after half of it", grace)
	}
	if !due.CRL(end, end).Critical.Equal(end) {
		t.Error("without a grace, a CRL is not critical at its next update")
	}
}
