// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"
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

// copyFile is the copy of a list on disk. It belongs to one goroutine at a time.
type copyFile struct {
	path string // of the list; the note is beside it
	held bool
	note note
}

// note is what is known of a copy, beside its bytes.
type note struct {
	URL          string    `json:"url"` // the name of the source
	Origin       Origin    `json:"origin"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	SHA256       string    `json:"sha256"` // of the list
	Size         int64     `json:"size"`
	Changed      time.Time `json:"changed"`
	Confirmed    time.Time `json:"confirmed"` // when the server last said so
	Due          time.Time `json:"due,omitzero"`
}

// copyIn returns where the copy of a source is. Its name cannot be chosen by whoever
// chose the URL.
func copyIn(dir, name string) copyFile {
	sum := sha256.Sum256([]byte(name))
	return copyFile{path: filepath.Join(dir, prefix+hex.EncodeToString(sum[:16])+listSuffix)}
}

func (c *copyFile) notePath() string { return strings.TrimSuffix(c.path, listSuffix) + noteSuffix }

// load reads the note of a copy, and reports whether there is a copy. One whose note
// cannot be read is good all the same: its server is asked for all of it again.
func (c *copyFile) load() bool {
	info, err := os.Stat(c.path)
	if err != nil {
		return false
	}
	c.held = true
	text, err := os.ReadFile(c.notePath())
	if err != nil || json.Unmarshal(text, &c.note) != nil || c.note.Size != info.Size() {
		c.note = note{Size: info.Size(), Changed: info.ModTime(), Confirmed: info.ModTime()}
	}
	return true
}

// replace makes a complete file in the same directory the copy.
func (c *copyFile) replace(temp string, n note) error {
	if err := os.Rename(temp, c.path); err != nil {
		return err
	}
	c.held = true
	return c.write(n)
}

// write writes the note. A crash before leaves one with another size or hash, which does
// no harm.
func (c *copyFile) write(n note) error {
	c.note = n
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), prefix+"*"+tempSuffix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), c.notePath())
	}
	if err == nil {
		err = syncDir(filepath.Dir(c.path))
	}
	return err
}

// remove removes the copy.
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
		if c := copyIn(f.config.Dir, n.URL); c.notePath() == path && len(names) < most {
			names = append(names, n.URL)
		}
	}
	return names
}
