// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestAdminTokensAreMounted, each where the program reads it, also when both are in one Secret.
func TestAdminTokensAreMounted(t *testing.T) {
	t.Parallel()
	for values, key := range map[string]string{
		"admin: {tokenSecret: {name: admin}, readTokenSecret: {name: admin}}":              "read-token",
		"admin: {tokenSecret: {name: admin}, readTokenSecret: {name: admin, key: reader}}": "reader",
	} {
		for _, mode := range []string{leastGateway, leastSidecar} {
			o := render(t, mode, values)
			o.wantVariables(map[string]string{
				"VERNEGATE_ADMIN_TOKEN_FILE": "/etc/vernegate/admin/token", "VERNEGATE_ADMIN_READ_TOKEN_FILE": "/etc/vernegate/admin-read/token",
			})
			for name, want := range map[string]struct{ path, key string }{
				"admin-token":      {"/etc/vernegate/admin", "token"},
				"admin-read-token": {"/etc/vernegate/admin-read", key},
			} {
				mounted := slices.ContainsFunc(o.container("vernegate").VolumeMounts, func(m corev1.VolumeMount) bool {
					return m.Name == name && m.MountPath == want.path && m.ReadOnly && m.SubPath == ""
				})
				volumes := o.pods().Spec.Volumes
				i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == name })
				if !mounted || i < 0 {
					t.Fatalf("%s is mounted: %v, of volumes %v", name, mounted, volumes)
				}
				if s := volumes[i].Secret; s.SecretName != "admin" || !slices.Equal(s.Items, []corev1.KeyToPath{{Key: want.key, Path: "token"}}) {
					t.Errorf("%s is %+v", name, s)
				}
			}
		}
	}
}

func TestAdminNeedsNoTokens(t *testing.T) {
	t.Parallel()
	for name := range render(t, leastGateway).variables("vernegate") {
		if name == "VERNEGATE_ADMIN_TOKEN_FILE" || name == "VERNEGATE_ADMIN_READ_TOKEN_FILE" {
			t.Errorf("%s is set without a Secret", name)
		}
	}
}
