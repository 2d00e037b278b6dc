package config

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	settle = 200 * time.Millisecond // of quiet before a change counts: editors and kubelets write in several steps
	atMost = time.Second            // however busy the folder is
	poll   = time.Second            // between comparisons where no event comes, as on network file systems
)

// Watch is NewWatcher and Run in one: it calls changed after each change from now on, until ctx ends.
func Watch(ctx context.Context, paths []string, secretsDir string, changed func()) error {
	return NewWatcher(paths, secretsDir).Run(ctx, changed)
}

// Watcher finds changes of rule files and secrets since it was made. Make it before loading them, so that no change falls
// between the loading and the watching.
type Watcher struct {
	paths   []string
	secrets string
	last    uint64            // the stamp of what changed was last called for
	notify  *fsnotify.Watcher // nil where the system gives none
	added   map[string]bool   // folders that events were asked for
	wanted  map[string]bool   // folders that the stamp at hand wants events of
	stamped map[string]bool   // folders that are in the stamp at hand, links resolved
}

// NewWatcher notes how the files are now. It starts nothing. An empty secretsDir watches none.
func NewWatcher(paths []string, secretsDir string) *Watcher {
	w := &Watcher{paths: append([]string(nil), paths...), secrets: secretsDir, added: map[string]bool{}}
	w.last = w.stamp()
	return w
}

// Run calls changed after rule files or secrets changed: written, renamed over, added, removed, or swapped by symbolic
// link, in sub-folders too, and in folders that come into being later. Changes that come together give one call; calls
// never overlap. Where the system gives no events, a change is found by comparing, within about a second; so to get no
// events is no error. Run blocks until ctx ends and then returns nil, nothing of it left running. It may be called once.
func (w *Watcher) Run(ctx context.Context, changed func()) error {
	var events chan fsnotify.Event
	var failures chan error
	if notify, err := fsnotify.NewBufferedWatcher(64); err == nil {
		defer notify.Close()
		w.notify, events, failures = notify, notify.Events, notify.Errors
	}
	check := func() {
		// Anew each time, for folders that came into being, and for links that lead elsewhere now.
		if now := w.stamp(); now != w.last {
			w.last = now
			changed()
		}
	}
	check()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var quiet <-chan time.Time // runs from the last event
	var first time.Time        // of the events not yet told
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			now := time.Now()
			if quiet == nil {
				first = now
			}
			quiet = time.After(max(0, min(settle, atMost-now.Sub(first))))
			continue
		case _, ok := <-failures:
			if !ok {
				failures = nil
			}
			// Events were lost, or a watch broke: comparing finds whatever they would have told.
			continue
		case <-quiet:
			quiet = nil
		case <-ticker.C:
			if quiet != nil {
				continue // the change that this would find is about to be told
			}
		}
		check()
	}
}

// stamp is a sum over the names, sizes, times and identities of all that is watched: another sum means a change. It asks
// for events of every folder it meets.
func (w *Watcher) stamp() uint64 {
	w.wanted, w.stamped = map[string]bool{}, map[string]bool{}
	sum := fnv.New64a()
	for _, p := range w.paths {
		p = filepath.Clean(p)
		w.parent(p)
		w.entry(sum, p, 0)
	}
	if w.secrets != "" {
		w.parent(w.secrets)
		w.folder(sum, filepath.Clean(w.secrets), 0, false)
	}
	for folder := range w.added {
		if !w.wanted[folder] {
			_ = w.notify.Remove(folder) // it may be gone already, which is what is wanted
			delete(w.added, folder)
		}
	}
	return sum.Sum64()
}

// entry stamps a rule file or a folder of them, links followed.
func (w *Watcher) entry(sum io.Writer, path string, depth int) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		fmt.Fprintf(sum, "%s absent %t\n", path, errors.Is(err, fs.ErrNotExist))
	case info.IsDir():
		w.folder(sum, path, depth, true)
	case depth == 0 || isRuleFile(path):
		// Only what is read: a database in the same folder changes all the time.
		fmt.Fprintf(sum, "%s %d %d %s %s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode(), identity(info))
	}
}

// folder stamps what is in a folder: rule files, and further folders of them; or all files, and nothing deeper.
func (w *Watcher) folder(sum io.Writer, path string, depth int, rules bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	// By its real path: links that lead in circles would be followed for ever.
	if depth > maxFolders || w.stamped[real] {
		return
	}
	w.stamped[real] = true
	w.watch(path)
	entries, err := os.ReadDir(path)
	// Not the folder's own time: a file of no concern may have come or gone.
	fmt.Fprintf(sum, "%s/ %t\n", path, err == nil)
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if e.Name()[0] == '.' {
			continue // ..data is reached through the links to it
		}
		if rules {
			w.entry(sum, name, depth+1)
			continue
		}
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			fmt.Fprintf(sum, "%s %d %d %s %s\n", name, info.Size(), info.ModTime().UnixNano(), info.Mode(), identity(info))
		}
	}
}

// parent asks for events of the nearest folder that is there: of a file, that its replacement is seen; of what is not there
// yet, that its coming is.
func (w *Watcher) parent(path string) {
	for {
		up := filepath.Dir(path)
		if info, err := os.Stat(up); err == nil && info.IsDir() {
			w.watch(up)
			return
		}
		if up == path {
			return
		}
		path = up
	}
}

// watch asks for events of a folder; again each time, as a folder that was removed and made anew has lost them. A refusal
// (too many watches, no such support) leaves it to the comparing.
func (w *Watcher) watch(folder string) {
	w.wanted[folder] = true
	if w.notify != nil && w.notify.Add(folder) == nil {
		w.added[folder] = true
	}
}
