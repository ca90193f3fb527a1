// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/registry"
)

var then = time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC)

// packed returns the archive of our chart.
func packed(t *testing.T) []byte {
	t.Helper()
	c, err := loader.LoadDir("../vernegate")
	if err != nil {
		t.Fatal(err)
	}
	archive, err := pack(c, "v1.2.3-rc.1", then)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func TestArchiveIsTheChartWithTheVersionOfTheRelease(t *testing.T) {
	t.Parallel()
	archive := packed(t)
	if !bytes.Equal(archive, packed(t)) {
		t.Error("two archives of the same chart differ")
	}
	got, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if m := got.Metadata; m.Version != "1.2.3-rc.1" || m.AppVersion != "v1.2.3-rc.1" {
		t.Errorf("the versions are %s and %s", m.Version, m.AppVersion)
	}
	want, err := loader.LoadDir("../vernegate")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range got.Raw {
		files[f.Name] = f.Data
	}
	for _, f := range want.Raw {
		if f.Name != "Chart.yaml" && !bytes.Equal(files[f.Name], f.Data) {
			t.Errorf("%s is not in the archive as it is", f.Name)
		}
	}
	if len(files) != len(want.Raw) {
		t.Errorf("%d files are in the archive, want %d", len(files), len(want.Raw))
	}
}

// TestRegistryHandsOutWhatWasPushed pushes to a registry as helm does, twice, and
// pulls from it with helm's client.
func TestRegistryHandsOutWhatWasPushed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	client, err := registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptWriter(io.Discard), registry.ClientOptCredentialsFile(t.TempDir()+"/none"))
	if err != nil {
		t.Fatal(err)
	}
	archive, to := packed(t), "oci://"+strings.TrimPrefix(server.URL, "http://")+"/charts"
	ref, digest, err := push(client, archive, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, again, err := push(client, archive, to); err != nil || again != digest {
		t.Errorf("pushed again, it is %s, %v; want %s", again, err, digest)
	}
	if !strings.HasSuffix(ref, "/charts/vernegate:1.2.3-rc.1") {
		t.Errorf("it is called %s", ref)
	}
	pulled, err := client.Pull(ref)
	if err != nil {
		t.Fatal(err)
	}
	if pulled.Manifest.Digest != digest || !bytes.Equal(pulled.Chart.Data, archive) {
		t.Errorf("pulled %s with %d bytes, want %s with %d", pulled.Manifest.Digest, len(pulled.Chart.Data), digest, len(archive))
	}
}

func TestChartWithoutOneVersionIsRefused(t *testing.T) {
	t.Parallel()
	for _, yaml := range []string{"name: x\nversion: 1\n", "version: 1\nversion: 2\nappVersion: 3\n", ""} {
		if got, err := withVersion([]byte(yaml), "v1.0.0"); err == nil {
			t.Errorf("%q became %q", yaml, got)
		}
	}
}
