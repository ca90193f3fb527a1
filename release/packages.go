// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

const description = `TLS gate in front of an unmodified MQTT broker
vernegate verifies the certificate of each MQTT client, finds out who owns it,
and makes this owner the username of the client's CONNECT. All other bytes pass
unchanged.`

// packages are the kinds of packages. What differs between them is here.
func packages() []packageKind {
	return []packageKind{
		{"deb", "/usr/share/zsh/vendor-completions/_vernegate", "/usr/share/doc/vernegate/copyright"},
		{"rpm", "/usr/share/zsh/site-functions/_vernegate", "/usr/share/licenses/vernegate/LICENSE"},
	}
}

// A packageKind is a kind of packages, and where its systems have some files.
type packageKind struct {
	name, zsh, licence string
}

// writePackages writes a package of each kind for each target that has some.
func (r *release) writePackages(context.Context) error {
	texts, err := r.packageTexts()
	if err != nil {
		return err
	}
	for _, t := range r.targets {
		if !t.packaged() {
			continue
		}
		for _, k := range packages() {
			if err := r.writePackage(t, k, texts); err != nil {
				return fmt.Errorf("%s of %v: %w", k.name, t, err)
			}
		}
	}
	return nil
}

func (r *release) writePackage(t target, k packageKind, texts packageTexts) error {
	info := nfpm.WithDefaults(r.packageInfo(t, k, texts))
	packager, err := nfpm.Get(k.name)
	if err != nil {
		return err
	}
	if err := nfpm.PrepareForPackager(info, k.name); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := packager.Package(info, &out); err != nil {
		return err
	}
	// The page of a release cannot have a tilde in names, which stands before rc.1 in packages.
	name := strings.ReplaceAll(packager.ConventionalFileName(info), "~", "-")
	return os.WriteFile(filepath.Join(r.dist, name), out.Bytes(), 0o644)
}

// packageTexts are files of packages that are written for them, as paths.
type packageTexts struct {
	man, changelog, licences, copyright string
}

// packageTexts writes the texts of packages, the long ones compressed as Debian has them.
func (r *release) packageTexts() (packageTexts, error) {
	texts := packageTexts{
		man: filepath.Join(r.work, "vernegate.1.gz"), changelog: filepath.Join(r.work, "NEWS.gz"),
		licences: filepath.Join(r.work, licencesName+".gz"), copyright: filepath.Join(r.work, "copyright"),
	}
	for to, from := range map[string]string{
		texts.man: r.path("packaging/man/vernegate.1"), texts.changelog: r.path("CHANGELOG.md"), texts.licences: r.licences,
	} {
		if err := compressFile(to, from); err != nil {
			return texts, err
		}
	}
	return texts, os.WriteFile(texts.copyright, []byte(copyright), 0o644)
}

// copyright is Debian's machine-readable form of whose work a package is.
const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: vernegate
Source: https://github.com/vernegate/vernegate
Comment: The licences of what the binary contains are in
 /usr/share/doc/vernegate/` + licencesName + `.gz

Files: *
Copyright: 2026 The vernegate authors
License: Apache-2.0
 On Debian systems, the text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0
`

// compressFile compresses a file without the time and the name that gzip may keep.
func compressFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

// packageInfo describes a package.
func (r *release) packageInfo(t target, k packageKind, texts packageTexts) *nfpm.Info {
	const doc = "/usr/share/doc/vernegate/"
	contents := files.Contents{
		r.file(r.binaries[t], "/usr/bin/vernegate", 0o755),
		r.file(r.path("packaging/systemd/vernegate.service"), "/usr/lib/systemd/system/vernegate.service", 0o644),
		r.file(r.path("packaging/systemd/vernegate@.service"), "/usr/lib/systemd/system/vernegate@.service", 0o644),
		r.file(texts.man, "/usr/share/man/man1/vernegate.1.gz", 0o644),
		r.file(r.shells["bash"], "/usr/share/bash-completion/completions/vernegate", 0o644),
		r.file(r.shells["fish"], "/usr/share/fish/vendor_completions.d/vernegate.fish", 0o644),
		r.file(r.shells["zsh"], k.zsh, 0o644),
		r.file(r.path("packaging/systemd/low-port.conf"), doc+"examples/low-port.conf", 0o644),
		r.file(texts.changelog, doc+"NEWS.gz", 0o644),
		r.file(texts.licences, doc+licencesName+".gz", 0o644),
		r.folder("/etc/vernegate", "root", 0o755),
		r.folder("/etc/vernegate/tls", "vernegate", 0o750),
		r.settings(),
	}
	if k.name == "deb" {
		contents = append(contents, r.file(texts.copyright, k.licence, 0o644))
	} else {
		contents = append(contents, r.file(r.path("LICENSE"), k.licence, 0o644))
		// rpm removes folders that a package says are its own, and no others.
		for _, path := range []string{
			"/usr/share/doc/vernegate", "/usr/share/doc/vernegate/examples", "/usr/share/licenses", "/usr/share/licenses/vernegate",
			"/usr/share/fish", "/usr/share/fish/vendor_completions.d", "/usr/share/zsh/site-functions",
		} {
			contents = append(contents, r.folder(path, "root", 0o755))
		}
	}
	scripts := nfpm.Scripts{
		PreInstall:  r.path("packaging/scripts/preinstall.sh"),
		PostInstall: r.path("packaging/scripts/postinstall.sh"),
		PreRemove:   r.path("packaging/scripts/preremove.sh"),
		PostRemove:  r.path("packaging/scripts/postremove.sh"),
	}
	info := &nfpm.Info{
		Name: "vernegate", Arch: t.packageArch(), Platform: "linux", Version: string(r.version),
		Section: "net", Priority: "optional", License: "Apache-2.0",
		Maintainer: "The vernegate authors <vernegate@users.noreply.github.com>", Vendor: "The vernegate authors",
		Homepage: "https://github.com/vernegate/vernegate", Description: description, MTime: r.source.time,
		DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Contents: contents, Scripts: scripts,
			Recommends: []string{"ca-certificates"},
			RPM: nfpm.RPM{
				BuildHost: "localhost", Summary: strings.SplitN(description, "\n", 2)[0],
			},
		},
	}
	if k.name == "deb" {
		info.Deb.Predepends = []string{"passwd"} // has useradd, which preinst runs
	} else {
		info.Depends = []string{"shadow-utils"}
	}
	return info
}

// file is a file of a package, root's.
func (r *release) file(from, to string, mode os.FileMode) *files.Content {
	return &files.Content{
		Source: from, Destination: to, Type: files.TypeFile,
		FileInfo: &files.ContentFileInfo{Mode: mode, Owner: "root", Group: "root", MTime: r.source.time},
	}
}

// folder is a folder of a package, root's.
func (r *release) folder(path, group string, mode os.FileMode) *files.Content {
	return &files.Content{
		Destination: path, Type: files.TypeDir,
		FileInfo: &files.ContentFileInfo{Mode: mode, Owner: "root", Group: group, MTime: r.source.time},
	}
}

// settings is the file of settings. It stays as somebody has changed it, and only
// vernegate reads it, as there may be a token in it.
func (r *release) settings() *files.Content {
	c := r.file(r.path("packaging/etc/vernegate.env"), "/etc/vernegate/vernegate.env", 0o640)
	c.Type, c.FileInfo.Group = files.TypeConfigNoReplace, "vernegate"
	return c
}
