// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/registry"
)

// pushFile puts an archive into a registry, with the credentials that "helm registry
// login" or "docker login" has left, and prints what it is called there.
func pushFile(archive, to string) error {
	content, err := os.ReadFile(archive)
	if err != nil {
		return err
	}
	client, err := registry.NewClient(registry.ClientOptWriter(os.Stderr))
	if err != nil {
		return err
	}
	ref, digest, err := push(client, content, to)
	if err != nil {
		return err
	}
	fmt.Printf("%s@%s\n", ref, digest)
	return nil
}

// push puts an archive into a registry, oci://HOST/PATH, and returns its reference there
// and its digest. The artefact has the time of the files in the archive, so that it is the
// same whenever it is pushed.
func push(client *registry.Client, archive []byte, to string) (ref, digest string, err error) {
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return "", "", err
	}
	modified, err := modifiedOf(archive)
	if err != nil {
		return "", "", err
	}
	ref = fmt.Sprintf("%s/%s:%s", strings.TrimPrefix(to, registry.OCIScheme+"://"), c.Name(), c.Metadata.Version)
	result, err := client.Push(archive, ref, registry.PushOptCreationTime(modified.Format(time.RFC3339)))
	if err != nil {
		return "", "", err
	}
	return ref, result.Manifest.Digest, nil
}
