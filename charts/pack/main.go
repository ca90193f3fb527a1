// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command pack writes a chart as the archive that helm installs, with the version of
// a release and of its image in it:
//
//	go run ./pack -version v0.1.0 -time 1764115200 -out ../dist vernegate
//
// Unlike "helm package", it writes the same bytes each time. With -push, it also puts
// the archive into a registry, as an OCI artefact like that of "helm push":
//
//	go run ./pack -push oci://ghcr.io/vernegate/charts dist/vernegate-0.1.0.tgz
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

func main() {
	version := flag.String("version", "", "the version of the release, such as v0.1.0")
	seconds := flag.Int64("time", 0, "the time of the files, in seconds since 1970")
	out := flag.String("out", ".", "the folder to write to")
	to := flag.String("push", "", "the registry to push an archive to, such as oci://ghcr.io/vernegate/charts")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() != 1 || (*version == "") == (*to == ""):
		fmt.Fprintln(os.Stderr, "usage: pack -version VERSION [-time SECONDS] [-out FOLDER] CHART, or pack -push REGISTRY ARCHIVE")
		os.Exit(2)
	case *to != "":
		err = pushFile(flag.Arg(0), *to)
	default:
		err = packFile(flag.Arg(0), *out, *version, time.Unix(*seconds, 0).UTC())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// packFile writes the chart in a folder as NAME-VERSION.tgz.
func packFile(folder, out, version string, modified time.Time) error {
	c, err := loader.LoadDir(folder)
	if err != nil {
		return err
	}
	archive, err := pack(c, version, modified)
	if err != nil {
		return err
	}
	packed, err := loader.LoadArchive(bytes.NewReader(archive)) // it has to be one that helm takes
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s.tgz", packed.Name(), packed.Metadata.Version)
	return os.WriteFile(filepath.Join(out, name), archive, 0o644)
}

// pack returns the archive of a chart with a release's version: 0.1.0 for v0.1.0 is
// that of the chart, and v0.1.0 is the tag of the image.
func pack(c *chart.Chart, version string, modified time.Time) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(compressed)
	raw := slices.SortedFunc(slices.Values(c.Raw), func(a, b *chart.File) int { return cmp.Compare(a.Name, b.Name) })
	for _, f := range raw {
		content := f.Data
		if f.Name == "Chart.yaml" {
			if content, err = withVersion(content, version); err != nil {
				return nil, err
			}
		}
		err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: c.Name() + "/" + f.Name, Mode: 0o644, Size: int64(len(content)), ModTime: modified, Format: tar.FormatUSTAR,
		})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// withVersion replaces the two versions in a Chart.yaml, and nothing else.
func withVersion(yaml []byte, version string) ([]byte, error) {
	for key, value := range map[string]string{"version": strings.TrimPrefix(version, "v"), "appVersion": version} {
		line := regexp.MustCompile(`(?m)^` + key + `: .*$`)
		if n := len(line.FindAll(yaml, -1)); n != 1 {
			return nil, fmt.Errorf("there are %d lines with %s in Chart.yaml, expected one", n, key)
		}
		yaml = line.ReplaceAllLiteral(yaml, []byte(key+": "+value))
	}
	return yaml, nil
}

// modifiedOf returns the time of the first file in an archive.
func modifiedOf(archive []byte) (time.Time, error) {
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return time.Time{}, err
	}
	header, err := tar.NewReader(compressed).Next()
	if err != nil {
		return time.Time{}, err
	}
	return header.ModTime.UTC(), nil
}
