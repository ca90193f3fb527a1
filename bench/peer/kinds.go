// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"embed"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"text/template"

	"github.com/vernegate/vernegate/e2e/stack"
)

// Names of the kinds.
const (
	Vernegate = "vernegate"
	HAProxy   = "HAProxy"
	Nginx     = "nginx"
	IOCopy    = "io.Copy"
)

// Kinds returns all proxies in the order of the tables, those that are missing here included. The first two are
// paths of binaries, and more are paths of further HAProxies.
func Kinds(vernegate, iocopy string, more ...string) []*Kind {
	kinds := []*Kind{vernegateAt(vernegate), haproxyAt(HAProxy, find("haproxy"))}
	for _, bin := range more {
		kinds = append(kinds, anotherHAProxy(bin))
	}
	return append(kinds, nginx(), iocopyAt(iocopy))
}

// anotherHAProxy is a HAProxy that goes by its version, as there is more than one.
func anotherHAProxy(bin string) *Kind {
	k := haproxyAt(bin, bin)
	k.Asked = true
	if k.Version != "" {
		k.Name = k.Version
	}
	return k
}

// vernegateAt leaves everything at its default but where it listens, where its files are and whom it asks.
func vernegateAt(bin string) *Kind {
	k := &Kind{Name: Vernegate, Missing: missing(bin, "make build")}
	k.command = func(setup *Setup, addr string) (*exec.Cmd, error) {
		admin, err := stack.FreeAddr()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(bin, "serve")
		cmd.Env = []string{
			"VERNEGATE_LISTEN=" + addr,
			"VERNEGATE_ADMIN=" + admin,
			"VERNEGATE_BACKENDS=" + setup.Backend,
			"VERNEGATE_TLS_CERT=" + setup.Files.Cert,
			"VERNEGATE_TLS_KEY=" + setup.Files.Key,
			"VERNEGATE_TLS_CA=" + setup.Files.CA,
			"VERNEGATE_TLS_CRL=" + setup.Files.CRL,
			"VERNEGATE_DRAIN_TIMEOUT=0s", // nobody measures the end
			"CERTIFICATE_ACL_URL=" + setup.ACLURL,
			"CERTIFICATE_ACL_REQ_TIMEOUT_MS=10000", // on a busy machine, nobody is to be refused
		}
		for name, value := range setup.Env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		return cmd, nil
	}
	return k
}

func iocopyAt(bin string) *Kind {
	k := &Kind{Name: IOCopy, Missing: missing(bin, "go build ./bench/iocopy")}
	k.command = func(setup *Setup, addr string) (*exec.Cmd, error) {
		return exec.Command(bin, addr, setup.Backend, setup.Files.Cert, setup.Files.Key, setup.Files.CA), nil
	}
	return k
}

// PlainHAProxy is the installed HAProxy without TLS.
func PlainHAProxy() *Kind {
	k := haproxyAt("HAProxy, plain TCP", find("haproxy"))
	k.Plain = true
	return k
}

func haproxyAt(name, bin string) *Kind {
	k := &Kind{Name: name, Missing: missing(bin, "haproxy"), Version: versionOf(bin, "-v", `HAProxy version [0-9.]+(-dev[0-9]+)?`)}
	k.command = func(setup *Setup, addr string) (*exec.Cmd, error) {
		file, err := setup.configure("haproxy.cfg", addr, map[string]any{"TLS": !k.Plain})
		return exec.Command(bin, "-db", "-f", file), err
	}
	return k
}

func nginx() *Kind {
	bin := find("nginx")
	module, ok := streamModule(bin)
	k := &Kind{Name: Nginx, Missing: missing(bin, "nginx libnginx-mod-stream"), Version: versionOf(bin, "-v", `nginx/[0-9.]+`)}
	if k.Missing == "" && !ok {
		k.Missing = "libnginx-mod-stream"
	}
	k.command = func(setup *Setup, addr string) (*exec.Cmd, error) {
		file, err := setup.configure("nginx.conf", addr, map[string]any{"Module": module})
		return exec.Command(bin, "-p", setup.Dir, "-c", file, "-e", filepath.Join(setup.Dir, "nginx.errors")), err
	}
	return k
}

// streamModule returns the file that nginx has to load for raw TCP, "" when that is compiled in.
func streamModule(bin string) (file string, ok bool) {
	said, err := exec.Command(bin, "-V").CombinedOutput()
	if err != nil {
		return "", false
	}
	if regexp.MustCompile(`--with-stream( |$)`).Match(said) {
		return "", true
	}
	if folder := regexp.MustCompile(`--modules-path=(\S+)`).FindSubmatch(said); folder != nil {
		file = filepath.Join(string(folder[1]), "ngx_stream_module.so")
	}
	_, err = os.Stat(file)
	return file, err == nil
}

// find looks for a program where Debian keeps daemons, too, which users' PATHs leave out.
func find(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return name
}

func missing(bin, remedy string) string {
	if _, err := exec.LookPath(bin); err != nil {
		return remedy
	}
	return ""
}

// configs are what HAProxy and nginx need to do the TLS of vernegate: a client certificate is demanded and checked
// against CRLs. All else is as Debian ships it, with timeouts and limits that are out of the way.
//
//go:embed haproxy.cfg nginx.conf
var configs embed.FS

// configure writes a configuration into the setup's folder, with more than all proxies need to know.
func (s *Setup) configure(name, addr string, more map[string]any) (string, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(configs, name)
	if err != nil {
		return "", err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return "", err
	}
	var text strings.Builder
	known := map[string]any{"Setup": s, "Addr": addr, "Descriptors": limit.Cur, "Sessions": limit.Cur/2 - reserve}
	maps.Copy(known, more)
	err = t.Execute(&text, known)
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	file := filepath.Join(s.Dir, name)
	return file, os.WriteFile(file, []byte(text.String()), 0o600)
}

// reserve are descriptors that HAProxy uses for other things than sessions.
const reserve = 100
