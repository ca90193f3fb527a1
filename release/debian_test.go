// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build debian

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A system is a Debian in a folder, which nothing is started in.
type system struct {
	t    *testing.T
	root string
}

// newSystem makes a Debian of its own for a test: a copy of the one in the folder that
// DEBIAN_ROOT names, or one from the mirror. It needs root.
func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t, filepath.Join(t.TempDir(), "debian")}
	if base := os.Getenv("DEBIAN_ROOT"); base != "" {
		s.host("cp", "-a", base, s.root)
	} else {
		s.host("debootstrap", "--variant=minbase", "--include=systemd", "stable", s.root)
	}
	return s
}

// host runs a command on this machine.
func (s *system) host(command string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(command, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s", command, args, err, out)
	}
	return string(out)
}

// try runs a script in the system.
func (s *system) try(script string) (string, error) {
	cmd := exec.Command("chroot", s.root, "sh", "-c", script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// do is try for what has to work.
func (s *system) do(script string) string {
	s.t.Helper()
	out, err := s.try(script)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// check runs a script that has to print this.
func (s *system) check(script, want string) {
	s.t.Helper()
	if got := strings.TrimSpace(s.do(script)); got != want {
		s.t.Errorf("%s: got %q, want %q", script, got, want)
	}
}

// bring puts a file into the system and returns its path there.
func (s *system) bring(path string) string {
	s.t.Helper()
	to := "/tmp/" + filepath.Base(path)
	copyFile(s.t, path, s.root+to)
	return to
}

// files lists what there is, without what dpkg, apt and rpm remember, and without the
// lists of users, which keep vernegate.
func (s *system) files() []string {
	s.t.Helper()
	out := s.do(`find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/cache -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/apt \
		-o -path /var/lib/rpm -o -path /root/.rpmdb -o -path /run -o -path '/etc/*-' -o -path /etc/.pwd.lock -o -path /etc/systemd/system/multi-user.target.wants \) -prune -o -print`)
	list := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(list)
	return list
}

// newPackages makes the packages of one version for this machine, with settings that
// end with these lines, and returns their paths by kind.
func newPackages(t *testing.T, v version, settings string) map[string]string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	this := target{"linux", runtime.GOARCH, ""}
	r := &release{source: source{root: root, commit: "test"}, version: v, targets: []target{this}, work: t.TempDir(), dist: t.TempDir()}
	for _, step := range []func() error{
		func() error { return r.buildBinaries(t.Context()) },
		func() error { return r.collectLicences(t.Context()) },
		func() error { return r.writeCompletions(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	tree := t.TempDir() // with other settings
	for _, name := range []string{"LICENSE", "CHANGELOG.md"} {
		copyFile(t, filepath.Join(root, name), filepath.Join(tree, name))
	}
	if err := os.CopyFS(filepath.Join(tree, "packaging"), os.DirFS(filepath.Join(root, "packaging"))); err != nil {
		t.Fatal(err)
	}
	env := filepath.Join(tree, "packaging/etc/vernegate.env")
	before, err := os.ReadFile(env)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, env, string(before)+settings)
	r.source.root = tree
	if err := r.writePackages(t.Context()); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for _, k := range packages() {
		found, _ := filepath.Glob(filepath.Join(r.dist, "*."+k.name))
		if len(found) != 1 {
			t.Fatalf("there are %q", found)
		}
		paths[k.name] = found[0]
	}
	return paths
}

// TestPackagesLiveInDebian installs, upgrades and removes the packages of two versions,
// of which the second one brings other settings.
func TestPackagesLiveInDebian(t *testing.T) {
	one, two := newPackages(t, "v0.0.1", ""), newPackages(t, "v0.0.2", "# new in v0.0.2\n")

	t.Run("deb", func(t *testing.T) {
		s := newSystem(t)
		before := s.files()
		install := func(path string) {
			t.Helper()
			s.do("apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold " + s.bring(path))
		}
		install(one["deb"])
		s.checkInstalled("v0.0.1")
		s.change()
		install(two["deb"])
		s.checkInstalled("v0.0.2")
		s.checkChanged()
		s.check("tail -n 1 /etc/vernegate/vernegate.env.dpkg-dist", "# new in v0.0.2")

		s.do("apt-get remove -y vernegate")
		s.checkRemoved()
		s.checkChanged()
		s.do("rm /etc/vernegate/tls/server.key")
		s.do("apt-get purge -y vernegate")
		s.checkLeftNothing(before)
	})

	t.Run("rpm", func(t *testing.T) {
		if _, err := exec.LookPath("rpm"); err != nil {
			t.Skip("there is no rpm")
		}
		s := newSystem(t) // no system of rpm, but with all that the scripts need
		before := s.files()
		rpm := func(args ...string) {
			t.Helper()
			s.host("rpm", append([]string{"--root", s.root, "--nodeps"}, args...)...)
		}
		rpm("-i", one["rpm"])
		s.checkInstalled("v0.0.1")
		s.change()
		rpm("-U", two["rpm"])
		s.checkInstalled("v0.0.2")
		s.checkChanged()
		s.check("tail -n 1 /etc/vernegate/vernegate.env.rpmnew", "# new in v0.0.2")

		rpm("-e", "vernegate")
		s.checkRemoved()
		s.check("grep ^VERNEGATE /etc/vernegate/vernegate.env.rpmsave", "VERNEGATE_BACKENDS=broker.example.org:1883")
		s.do("rm -r /etc/vernegate") // what somebody has changed is left
		s.checkLeftNothing(before)
	})
}

// checkInstalled expects the package to be there, and to be fit for use.
func (s *system) checkInstalled(version string) {
	s.t.Helper()
	if got := s.do("vernegate version"); !strings.HasPrefix(got, "vernegate "+version+" (commit test, go") {
		s.t.Errorf("the program says %q", got)
	}
	s.check("stat -c '%U:%G %a' /etc/vernegate/vernegate.env", "root:vernegate 640")
	s.check("stat -c '%U:%G %a' /etc/vernegate/tls", "root:vernegate 750")
	s.check("getent passwd vernegate | cut -d: -f6,7", "/nonexistent:/usr/sbin/nologin")
	s.check("zcat /usr/share/man/man1/vernegate.1.gz | grep -c '^.Dt VERNEGATE 1$'", "1")
	s.check("bash -c '. /usr/share/bash-completion/completions/vernegate && complete -p vernegate'", "complete -F _vernegate vernegate")
	s.check("systemd-analyze verify /usr/lib/systemd/system/vernegate.service /usr/lib/systemd/system/vernegate@.service 2>&1 | grep -i vernegate | grep -v 'man vernegate(1)' || true", "") // there is no man
	// With the packaged settings alone it says what is missing, as the user it runs as.
	out, err := s.try(`setpriv --reuid=vernegate --regid=vernegate --clear-groups sh -c 'set -a; . /etc/vernegate/vernegate.env; exec vernegate serve'`)
	if exit, is := err.(*exec.ExitError); !is || exit.ExitCode() != 2 || !strings.Contains(out, "vernegate: wrong configuration:") {
		s.t.Errorf("serve without certificates: %v\n%s", err, out)
	}
}

// change does what an operator does after the installation.
func (s *system) change() {
	s.t.Helper()
	s.do("echo VERNEGATE_BACKENDS=broker.example.org:1883 >> /etc/vernegate/vernegate.env")
	s.do("echo secret > /etc/vernegate/tls/server.key")
	s.do("systemctl enable vernegate.service vernegate@8885.service")
}

// checkChanged expects what change has written to be there still.
func (s *system) checkChanged() {
	s.t.Helper()
	s.check("grep ^VERNEGATE /etc/vernegate/vernegate.env", "VERNEGATE_BACKENDS=broker.example.org:1883")
	s.check("cat /etc/vernegate/tls/server.key", "secret")
}

// checkRemoved expects nothing to be there that could be run or started.
func (s *system) checkRemoved() {
	s.t.Helper()
	s.check("command -v vernegate; ls -d /usr/lib/systemd/system/vernegate* /etc/systemd/system/*/vernegate* 2>/dev/null || true", "")
}

// checkLeftNothing expects the files to be those of before.
func (s *system) checkLeftNothing(before []string) {
	s.t.Helper()
	var left bytes.Buffer
	for _, name := range s.files() {
		if _, found := slices.BinarySearch(before, name); !found {
			left.WriteString(name + "\n")
		}
	}
	if left.Len() > 0 {
		s.t.Errorf("left are:\n%s", &left)
	}
}
