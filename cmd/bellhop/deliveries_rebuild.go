package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

// resetStore forgets the counts of a daemon that does not run.
func (a *app) resetStore(dir string) (err error) {
	path := filepath.Join(dir, storeName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("%w, and %s is not there: nothing has been counted yet", errNoDaemon, path), "bellhop serve")
	}
	db, err := store.Open(path, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Reset(); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "no daemon is running: the next one to start counts all outcomes again")
	return nil
}

// awaitCounts follows the counts until they have come to what the stream held at the beginning.
func (a *app) awaitCounts(ctx context.Context, c *client, p api.Projection) error {
	goal := p.Last
	var bar *progressbar.ProgressBar
	if terminal(a.stdout) && terminal(a.stderr) {
		bar = progressbar.NewOptions64(int64(min(p.Lag, 1<<62)), progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription("counting"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var status api.Status
		if err := c.get(ctx, api.StatusPath, &status); err != nil {
			return err
		}
		now := status.Projection
		if now.Error != "" {
			return fmt.Errorf("the counts do not go on: %s", now.Error)
		}
		if bar != nil {
			_ = bar.Set64(int64(min(p.Lag-min(p.Lag, now.Lag), 1<<62)))
		}
		if now.Sequence >= goal {
			fmt.Fprintf(a.stdout, "%s counted\n", count(int(min(now.Indexed, 1<<31)), "outcome"))
			return nil
		}
	}
}
