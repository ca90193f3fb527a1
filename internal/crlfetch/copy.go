// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
)

// Names of the files of a copy: what was fetched, what is known of it, and one that is
// being written.
const (
	prefix     = "crl-"
	listSuffix = ".crl"
	noteSuffix = ".json"
	tempSuffix = ".tmp"
)

// maxTempAge is how old a file that is being written may be at most: what is older was
// left by a process that has ended.
const maxTempAge = time.Hour

// copyFile is the copy of a list on disk, or in memory while the disk does not take it. It belongs to one
// goroutine at a time.
type copyFile struct {
	path string // of the list; the note is beside it
	held bool
	note note        // of the newest version
	seen os.FileInfo // of the list when it was found whole; nil if it was not looked at yet

	data    []byte            // the newest version, where the disk has an older one or none; else nil
	sum     [sha256.Size]byte // of data
	memory  *memory           // counts data
	notKept error             // why a start would not begin with all that is known
}

// note is what is known of a copy, beside its bytes. The ETag counts only once the copy was compared with what is in use:
// whoever has sent a forged list may have sent the ETag of the real one with it, for which the server would say for ever that
// nothing has changed.
type note struct {
	URL          string    `json:"url"` // the name of the source
	Origin       Origin    `json:"origin"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	SHA256       string    `json:"sha256"` // of the list
	Size         int64     `json:"size"`
	Changed      time.Time `json:"changed"`
	Confirmed    time.Time `json:"confirmed"`        // when the server last said so
	Fetched      time.Time `json:"fetched,omitzero"` // when it last sent all of it; zero if that was not compared
	Due          time.Time `json:"due,omitzero"`
}

// copyIn returns where the copy of a source is. Its name cannot be chosen by whoever
// chose the URL.
func copyIn(dir, name string, m *memory) copyFile {
	sum := sha256.Sum256([]byte(name))
	return copyFile{memory: m, path: filepath.Join(dir, prefix+hex.EncodeToString(sum[:16])+listSuffix)}
}

func (c *copyFile) notePath() string { return strings.TrimSuffix(c.path, listSuffix) + noteSuffix }

// load reads the note of a copy, and reports whether there is a copy. What is in it is
// looked at before its server is asked, as it may be long.
func (c *copyFile) load() bool {
	info, err := os.Stat(c.path)
	if err != nil {
		return false
	}
	c.held = true
	text, err := os.ReadFile(c.notePath())
	if err != nil || json.Unmarshal(text, &c.note) != nil || c.note.Size != info.Size() {
		c.note = noteOf(info)
	}
	return true
}

// noteOf returns the note of a list of which nothing is known: its server is asked for all of it again.
func noteOf(info os.FileInfo) note {
	return note{Size: info.Size(), Changed: info.ModTime(), Confirmed: info.ModTime()}
}

// replace makes a complete download the copy. It fails only when there is no room for it anywhere.
func (c *copyFile) replace(s *spool, n note, sum [sha256.Size]byte) error {
	data, err := s.moveTo(c.path)
	if err != nil {
		return err
	}
	c.setData(data)
	c.held, c.note, c.sum, c.notKept = true, n, sum, s.notKept
	if c.data == nil {
		c.seen, _ = os.Stat(c.path)
		c.notKept = c.writeNote()
	}
	return nil
}

// confirm notes what is known now of the copy.
func (c *copyFile) confirm(n note) {
	c.note = n
	c.write()
}

// write has the disk take the copy, if it has not taken it before, and what is known of it.
func (c *copyFile) write() {
	if c.data != nil {
		if c.notKept = c.writeFile(c.path, c.data); c.notKept != nil {
			return // the note would be about another list
		}
		c.setData(nil)
	}
	c.notKept = c.writeNote()
}

// setData makes bytes that are counted those in memory.
func (c *copyFile) setData(data []byte) {
	c.memory.give(len(c.data))
	c.data = data
}

// isAsSeen reports whether nobody has written to the file since it was found whole.
func (c *copyFile) isAsSeen() bool {
	if c.seen == nil {
		return false
	}
	info, err := os.Stat(c.path)
	return err == nil && os.SameFile(info, c.seen) && info.Size() == c.seen.Size() && info.ModTime().Equal(c.seen.ModTime())
}

// digest reads the file for its hash, slowly enough that nothing else feels it. info is from before that.
func (c *copyFile) digest(ctx context.Context) (info os.FileInfo, sum [sha256.Size]byte, err error) {
	file, err := os.OpenFile(c.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe would be to wait for its writer
	if err != nil {
		return nil, sum, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, sum, err
	}
	digest := sha256.New()
	_, err = io.Copy(digest, pace.NewThrottle(ctx.Done()).Reader(file))
	return info, [sha256.Size]byte(digest.Sum(nil)), err
}

// isCompared reports whether the copy was compared with what is in use, when it came or later.
func (n *note) isCompared() bool { return !n.Fetched.IsZero() }

// hasValidators reports whether the server can be asked for what is newer.
func (n *note) hasValidators() bool { return n.ETag != "" || n.LastModified != "" }

// has reports whether the copy has a hash.
func (c *copyFile) has(sum [sha256.Size]byte) bool {
	return c.held && c.note.SHA256 == hex.EncodeToString(sum[:])
}

// writeNote writes the note. A crash before leaves one with another size or hash, which does
// no harm: see Fetcher.check.
func (c *copyFile) writeNote() error {
	text, err := json.MarshalIndent(c.note, "", "  ")
	if err != nil {
		return err
	}
	return c.writeFile(c.notePath(), text)
}

// writeFile writes a file of the copy, at once or not at all.
func (c *copyFile) writeFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, prefix+"*"+tempSuffix)
	if err != nil {
		return notWritten(dir, err)
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return notWritten(dir, err)
	}
	return nil
}

// remove removes the files of the copy.
func (c *copyFile) remove() {
	_ = os.Remove(c.path)
	_ = os.Remove(c.notePath())
}

// syncDir makes renames in a directory survive a crash of the machine.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// sweep removes what processes that were killed have left unfinished.
func (f *Fetcher) sweep(now time.Time) {
	left, _ := filepath.Glob(filepath.Join(f.config.Dir, prefix+"*"+tempSuffix))
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()) > maxTempAge {
			_ = os.Remove(path)
		}
	}
}

// Known returns the names of the sources of an origin that the directory has copies of,
// at most as many as are asked for.
func (f *Fetcher) Known(origin Origin, most int) (names []string) {
	notes, _ := filepath.Glob(filepath.Join(f.config.Dir, prefix+"*"+noteSuffix))
	for _, path := range notes {
		var n note
		text, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(text, &n) != nil || n.Origin != origin {
			continue
		}
		if c := copyIn(f.config.Dir, n.URL, &f.memory); c.notePath() == path && len(names) < most {
			names = append(names, n.URL)
		}
	}
	return names
}
