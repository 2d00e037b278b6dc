package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// storeCopied copies the store again and again while the daemon writes to it, as a power cut would leave it: each copy opens, or
// the error says what to do.
func storeCopied(w *world) {
	copies, events := scale(12, 150), scale(1000, 20_000)
	to := newWitness(w.T, flaky)
	w.rules(oneNumbered(to.url))
	w.daemonNamed("a", "--delivery.initial_delay", "500ms")
	all := w.publishNumbered("events.course.completed", 0, events, scale(400, 1000))
	opened, refused := 0, 0
	for i := range copies {
		w.until(time.Minute, "outcomes are being counted", func() bool { return to.len() >= min(events, (i+1)*events/(copies+1)) })
		dir := filepath.Join(w.dir, fmt.Sprint("copy-", i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			w.Fatal(err)
		}
		w.write(filepath.Join(dir, "bellhop.db"), w.read(filepath.Join(w.dir, "data-a", "bellhop.db")))
		w.write(filepath.Join(dir, "config.yaml"), "data_dir: "+dir+"\n")
		r := w.run("", "rules", "history", "--config", filepath.Join(dir, "config.yaml"))
		switch {
		case r.status == 0 && strings.Contains(r.out, "1"):
			opened++
		case r.status == 1 && strings.Contains(r.errors, "damaged") && strings.Contains(r.errors, "try: ") && !strings.Contains(r.errors, "panic"):
			refused++
		default:
			w.Errorf("a copy taken while the daemon wrote: status %d, %q, %q; want it to open, or to be told that it is damaged", r.status, r.out, r.errors)
		}
	}
	all.wait(time.Minute)
	s := w.takeStock(to, events, time.Minute)
	w.report(s, events, "%d copies taken mid-write: %d open, %d are said to be damaged", copies, opened, refused)
}

// storeDiskFull fills the disk of the store: deliveries do not need it, what was not counted is counted when there is room.
func storeDiskFull(w *world) {
	events := scale(900, 10_000)
	to := newWitness(w.T, nil)
	w.rules(oneNumbered(to.url))
	disk := newSmallDisk(w, filepath.Join(w.dir, "small"), "24m")
	// The daemon as the others are, but for where its data is.
	d := w.daemonOn(disk, "a")
	publish := func(from, to int) { w.publishNumbered("events.course.completed", from, to, 0).wait(time.Minute) }
	publish(0, events/3)
	w.until(20*time.Second, "outcomes are counted", func() bool { return d.delivered() == events/3 })
	filler := disk.path("filler")
	fill(w, filler)
	publish(events/3, events)
	w.until(time.Minute, "deliveries go on without the store", func() bool { return to.events() == events })
	w.until(20*time.Second, "the log tells that outcomes are not counted", func() bool {
		_, ok := d.find("outcomes are not counted")
		return ok
	})
	if status, text := d.get("/readyz"); status != http.StatusOK {
		w.Errorf("/readyz = %d %s with the store's disk full, want 200: it delivers", status, text)
	}
	counted := d.delivered()
	if err := os.Remove(filler); err != nil {
		w.Fatal(err)
	}
	back := time.Now()
	w.until(30*time.Second, "all is counted", func() bool { return d.delivered() == events })
	took := time.Since(back)
	if status := d.stop(sigterm); status != 0 {
		w.Errorf("SIGTERM ended it with status %d, want 0", status)
	}
	s := w.takeStock(to, events, time.Minute)
	s.faults = make([]fault, 1)
	w.report(s, events, "%d counted with a full disk, all %s after there was room", counted, took.Round(10*time.Millisecond))
}

// daemonOn starts a daemon whose data is on a disk of its own.
func (w *world) daemonOn(disk *smallDisk, name string) *daemonProcess {
	w.Helper()
	secrets := filepath.Join(w.dir, "secrets-"+name)
	if err := os.MkdirAll(secrets, 0o700); err != nil {
		w.Fatal(err)
	}
	w.write(filepath.Join(secrets, "daemon"), w.life(name))
	cmd := disk.command(w.bin.bellhop, append([]string{"serve"},
		w.args("--node", name, "--secrets_dir", secrets, "--data_dir", disk.at, "--rules", filepath.Join(w.dir, "rules"))...)...)
	cmd.Dir = w.dir
	d := &daemonProcess{process: start(w.T, cmd), w: w}
	d.waitRunning()
	w.connect()
	return d
}

// delivered is how many delivered outcomes the daemon has counted; -1 where it does not say.
func (d *daemonProcess) delivered() int {
	status, text := d.get("/api/v1/stats")
	var stats struct{ Delivered int }
	if status != http.StatusOK || json.Unmarshal([]byte(text), &stats) != nil {
		return -1
	}
	return stats.Delivered
}

// storeFromTheFuture starts on a store that a newer version wrote.
func storeFromTheFuture(w *world) {
	w.rules(oneRule)
	w.serve().stop(sigterm)
	file := filepath.Join(w.dir, "data", "bellhop.db")
	db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		w.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket([]byte("bellhop"))
		schema, err := strconv.Atoi(string(meta.Get([]byte("schema"))))
		if err != nil {
			return err
		}
		return meta.Put([]byte("schema"), []byte(strconv.Itoa(schema+1)))
	})
	if err != nil {
		w.Fatal(err)
	}
	if err := db.Close(); err != nil {
		w.Fatal(err)
	}
	before := w.read(file)
	d := w.launch()
	if status := d.wait(10 * time.Second); status != 1 || !strings.Contains(d.log(), "newer Bellhop") || !strings.Contains(d.log(), "bellhop.db") {
		w.Errorf("a store of a newer version: status %d, %q; want 1 and an error that says so", status, d.log())
	}
	if w.read(file) != before {
		w.Error("the store of a newer version was changed")
	}
	w.report(stock{}, 0, "refused, and left as it was")
}
