// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package watch notices that files change, however they are replaced, and says
// when they have been quiet for long enough to be read. It reads none.
package watch

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A Watcher notices changes of files. It watches directories, not the files: a
// file may be replaced by another one of its name, and a symbolic link anywhere
// on the way to it by another link, as Kubernetes does with ..data. That a directory
// above those has been replaced it notices when it looks, once a minute.
type Watcher struct {
	// changes has room for one value, which stands for all changes since it
	// was last received.
	changes chan struct{}

	paths   []string               // of the files
	marks   map[string]bool        // paths of which a change matters
	watched map[string]os.FileInfo // directories; one that is mounted twice has two names, and its events have one of them
	failing map[string]bool        // directories that cannot be watched, as logged
	notify  *fsnotify.Watcher
	looks   <-chan time.Time
	running sync.WaitGroup
	log     *slog.Logger
}

// lookInterval is how often a Watcher looks whether it still watches the directories
// that are there: the system does not tell of all that ends a watch.
const lookInterval = time.Minute

// Files begins to watch files, which need not exist; Stop ends it. The error says
// what cannot be watched, for lack of inotify watches perhaps. When that is
// everything, the Watcher is nil.
func Files(paths []string, log *slog.Logger) (*Watcher, error) {
	return files(paths, log, time.Tick(lookInterval))
}

func files(paths []string, log *slog.Logger, looks <-chan time.Time) (*Watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		changes: make(chan struct{}, 1),
		paths:   paths,
		watched: make(map[string]os.FileInfo),
		failing: make(map[string]bool),
		notify:  notify,
		looks:   looks,
		log:     log,
	}
	err = w.renew()
	if len(notify.WatchList()) == 0 {
		return nil, errors.Join(err, notify.Close())
	}
	w.running.Go(w.run)
	return w, err
}

// Changes returns the channel on which changes are told. One value stands for all
// changes since the last one was received. It is never closed.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Stop returns when nothing of the Watcher runs any more.
func (w *Watcher) Stop() {
	w.notify.Close()
	w.running.Wait()
}

// run passes changes on until the watcher is stopped.
func (w *Watcher) run() {
	for {
		select {
		case event, ok := <-w.notify.Events:
			if !ok {
				return
			}
			if !w.matters(filepath.Clean(event.Name)) { // which is "//ca.crt" for a file in the root directory
				continue
			}
			w.renewed()
		case err, ok := <-w.notify.Errors:
			if !ok {
				return
			}
			// Events were lost, most likely because there were too many.
			w.log.Warn("changes of files may have been missed, reading them again", "err", err)
			w.renewed()
		case <-w.looks:
			if !w.look() {
				continue
			}
		}
		select {
		case w.changes <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// matters reports whether a change of a path matters, under this name or that which its directory has elsewhere.
func (w *Watcher) matters(path string) bool {
	if w.marks[path] {
		return true
	}
	dir := w.watched[filepath.Dir(path)]
	for other, info := range w.watched {
		if w.marks[filepath.Join(other, filepath.Base(path))] && os.SameFile(info, dir) {
			return true
		}
	}
	return false
}

// renewed is renew with its failures logged.
func (w *Watcher) renewed() {
	if err := w.renew(); err != nil {
		w.log.Error("some files can no longer be watched", "err", err)
	}
}

// look watches directories anew that are not watched any more, or under whose name there is another one now. It reports
// whether it could, so that there may have been changes.
func (w *Watcher) look() (changed bool) {
	before := w.marks
	var lost []string
	watching := w.notify.WatchList()
	_, dirs := w.resolve()
	for dir := range dirs {
		is, err := os.Stat(dir)
		if was := w.watched[dir]; err != nil || was == nil || !os.SameFile(is, was) || !w.isWatched(dir, watching) {
			_ = w.notify.Remove(dir) // whose watch may be of the one before
			delete(w.watched, dir)
			lost = append(lost, dir)
		}
	}
	w.renewed()
	return !maps.Equal(before, w.marks) || slices.ContainsFunc(lost, func(dir string) bool { return w.watched[dir] != nil })
}

// isWatched reports whether a directory is one of those that are being watched, under whichever of its names.
func (w *Watcher) isWatched(dir string, watching []string) bool {
	return slices.ContainsFunc(watching, func(name string) bool { return os.SameFile(w.watched[name], w.watched[dir]) })
}

// maxRenewals bounds how often renew follows a way that changes under it.
const maxRenewals = 5

// renew watches the directories on the way to the files as it is now, and no
// others. It returns the failures that are new.
func (w *Watcher) renew() error {
	var failures []error
	for range maxRenewals {
		var dirs map[string]bool
		w.marks, dirs = w.resolve()
		failures = append(failures, w.watch(dirs))
		if again, _ := w.resolve(); maps.Equal(again, w.marks) {
			break // else something has changed before it was watched
		}
	}
	return errors.Join(failures...)
}

// resolve returns the paths of which a change matters, and which of them are
// the directories that tell of it.
func (w *Watcher) resolve() (marks, dirs map[string]bool) {
	marks, dirs = make(map[string]bool), make(map[string]bool)
	for _, path := range w.paths {
		for _, mark := range watchPaths(path) {
			dir := filepath.Dir(mark)
			marks[mark], marks[dir], dirs[dir] = true, true, true
		}
	}
	return marks, dirs
}

// watch watches these directories and no others.
func (w *Watcher) watch(dirs map[string]bool) error {
	for _, dir := range w.notify.WatchList() {
		if !dirs[dir] {
			// It may be gone already, and its watch with it.
			_ = w.notify.Remove(dir)
			delete(w.watched, dir)
		}
	}
	var failures []error
	for dir := range dirs {
		info, err := os.Stat(dir) // before, so that look notices if it is another one by now
		if err == nil {
			err = w.notify.Add(dir)
		}
		if err != nil && !w.failing[dir] {
			failures = append(failures, fmt.Errorf("watching %s: %w", dir, err))
		}
		if w.failing[dir] = err != nil; err == nil {
			w.watched[dir] = info
		}
	}
	return errors.Join(failures...)
}
