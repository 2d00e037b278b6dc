package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
	"bellhop/dispatcher"
	"bellhop/dispatcher/rule"
	"bellhop/store"
)

// ruleKeeper puts rules in force: from the files, or from the store where the files are broken or rolled back.
type ruleKeeper struct {
	settings *config.Settings
	paths    []string
	optional bool // the paths are the default ones, which need not be there
	db       *store.Store
	log      *zap.Logger
	metrics  *dispatcher.Metrics
	put      func(dispatcher.InForce)

	watcher *config.Watcher // made before the first reading, so that no change falls in between

	mu       sync.Mutex // one change at a time
	current  store.Version
	set      *rule.Set
	problems []rule.Problem // of the files as they were last read
}

// read reads and compiles the files.
func (k *ruleKeeper) read() ruleFiles {
	paths := k.paths
	if k.optional {
		paths = nil
		for _, p := range k.paths {
			if _, err := os.Stat(p); err == nil {
				paths = append(paths, p)
			}
		}
		if len(paths) == 0 {
			if k.current.Number > 0 && k.current.Rules > 0 {
				// Rules were there before: their folder has gone, which is no reason to forget them.
				paths = k.paths
			} else {
				k.log.Warn("no rule files: no event fires anything until there are some", zap.Strings("rules", k.paths))
				return compileRules(k.settings, nil, nil, true)
			}
		}
	}
	return loadRules(k.settings, paths, true)
}

// start puts the first rules in force. Broken files leave the last good version in force; without one they are an error.
func (k *ruleKeeper) start() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	current, err := k.db.Current()
	if err != nil && !errors.Is(err, store.ErrNoVersion) {
		return fmt.Errorf("read the rules in force: %w", err)
	}
	known := err == nil
	k.watcher = config.NewWatcher(k.paths, k.settings.SecretsDir)
	k.current = current
	files := k.read()
	k.problems = files.problems
	if files.set != nil {
		k.metrics.LastLoad.Set(1)
		return k.accept(files)
	}
	if !known {
		var b strings.Builder
		for _, p := range errorsOnly(files.problems) {
			fmt.Fprintf(&b, "\n%s", problemLine(p))
		}
		return withHint(fmt.Errorf("the rule files have errors, and no earlier version is in the store:%s", b.String()), "bellhop rules check")
	}
	k.report(files)
	if err := k.enforce(current, nil); err != nil {
		return withHint(fmt.Errorf("the rule files have errors, and the last good ones cannot take their place: %w", err), "bellhop rules check")
	}
	k.log.Warn("running the last good rules", zap.Uint64("version", current.Number), zap.String("rules_version", current.Digest))
	return nil
}

// reload reads the files again: a valid change comes into force as a whole, a broken one leaves what is in force.
func (k *ruleKeeper) reload() {
	k.mu.Lock()
	defer k.mu.Unlock()
	files := k.read()
	k.problems = files.problems
	k.metrics.LastLoad.Set(0)
	if files.set == nil {
		k.report(files)
		k.log.Error("the rule files have errors; what was in force stays", zap.String("rules_version", k.set.Version))
		return
	}
	if err := k.accept(files); err != nil {
		k.metrics.LoadErrors.Inc()
		k.log.Error("the rules could not be put in force; what was in force stays", zap.Error(err))
		return
	}
	k.metrics.LastLoad.Set(1)
}

// report logs and counts broken files.
func (k *ruleKeeper) report(files ruleFiles) {
	k.metrics.LoadErrors.Inc()
	for _, p := range errorsOnly(files.problems) {
		k.log.Error("rules: " + problemLine(p))
	}
}

// accept records a valid rule set as a version and puts it in force, or what a rollback holds in its place.
func (k *ruleKeeper) accept(files ruleFiles) error {
	webhooks := 0
	for _, r := range files.set.Rules {
		webhooks += len(r.Webhooks)
	}
	v, err := k.db.PutVersion(store.Version{
		Digest: files.set.Version, Files: files.defs.Files, Rules: len(files.set.Rules), Webhooks: webhooks,
	})
	if err != nil {
		k.metrics.StoreErrs.Inc()
		return fmt.Errorf("record the rules: %w", err)
	}
	for _, p := range files.problems {
		k.log.Warn("rules: " + problemLine(p))
	}
	if v.Origin == store.OriginRollback {
		return k.enforce(v, nil)
	}
	return k.enforce(v, files.set)
}

// manyRules is from how many rules on what their reading leaves behind is worth a collection of its own.
const manyRules = 1000

// enforce puts a version in force, compiling it where it is not yet.
func (k *ruleKeeper) enforce(v store.Version, set *rule.Set) error {
	if set == nil {
		files := compileRules(k.settings, v.Files, nil, true)
		if files.set == nil {
			return fmt.Errorf("version %d of the rules cannot be put in force: %w", v.Number, firstProblem(files.problems))
		}
		set = files.set
	}
	k.current, k.set = v, set
	k.put(dispatcher.InForce{Set: set, Since: v.At})
	k.metrics.Reloads.Inc()
	if len(set.Rules) >= manyRules {
		// What reading them took is several times what they are, and the collector would let the heap grow to twice that. Nothing waits
		// for it: it ends by itself, and holds nothing.
		go runtime.GC()
	}
	k.log.Info("rules in force", zap.Uint64("version", v.Number), zap.String("rules_version", v.Digest), zap.Int("rules", len(set.Rules)),
		zap.Time("since", v.At), zap.String("origin", string(v.Origin)))
	return nil
}

// rollback puts an older version back in force, in this daemon, until the files next change.
func (k *ruleKeeper) rollback(ref string) (api.Version, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, err := k.db.Get(ref)
	if err != nil {
		return api.Version{}, err
	}
	// Compiled before it is recorded: a version that needs a secret which is gone must not come into force half.
	files := compileRules(k.settings, old.Files, nil, true)
	if files.set == nil {
		return api.Version{}, fmt.Errorf("version %d cannot be put in force: %w", old.Number, firstProblem(files.problems))
	}
	v, err := k.db.Rollback(old.Number)
	if err != nil {
		return api.Version{}, err
	}
	if err := k.enforce(v, files.set); err != nil {
		return api.Version{}, err
	}
	out := describeVersion(v, v.Number)
	out.Files = nil
	return out, nil
}

// InForce implements console.Rules.
func (k *ruleKeeper) InForce() api.RuleList {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := describeVersion(k.current, k.current.Number)
	v.Files = nil
	return api.RuleList{Version: &v, Rules: api.Rules(k.set), Problems: api.Findings(k.problems)}
}

// Rule implements console.Rules.
func (k *ruleKeeper) Rule(name string) (api.Rule, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.set.Rules {
		if one.Name == name {
			out := api.OneRule(one)
			out.Source = api.Source(k.current.Files, one.Pos)
			return out, true
		}
	}
	return api.Rule{}, false
}

// Versions implements console.Rules.
func (k *ruleKeeper) Versions() ([]api.Version, error) {
	return storedRules{db: k.db, settings: k.settings}.versions(context.Background())
}

// Version implements console.Rules.
func (k *ruleKeeper) Version(ref string) (api.Version, error) {
	return storedRules{db: k.db, settings: k.settings}.version(context.Background(), ref)
}

// Rollback implements console.Rules.
func (k *ruleKeeper) Rollback(ref string) (api.Version, error) { return k.rollback(ref) }

// watch reloads after every change of the files until ctx ends.
func (k *ruleKeeper) watch(ctx context.Context, hup <-chan os.Signal) error {
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { done <- k.watcher.Run(ctx, k.reload) }()
	for {
		select {
		case <-hup:
			k.log.Info("SIGHUP: reading the rules again")
			k.reload()
		case err := <-done:
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// problemLine is a problem as rules check prints it.
func problemLine(p rule.Problem) string {
	text := p.Text
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	return placeOf(p.Pos) + " " + text
}

// Diff implements console.Rules.
func (k *ruleKeeper) Diff(from, to string) (api.Diff, error) {
	list, err := k.Versions()
	if err != nil {
		return api.Diff{}, err
	}
	if len(list) == 0 {
		return api.Diff{}, fmt.Errorf("%w: no rules were accepted yet", store.ErrNoVersion)
	}
	if to == "" {
		to = strconv.FormatUint(list[0].Number, 10)
	}
	newer, err := k.Version(to)
	if err != nil {
		return api.Diff{}, err
	}
	older := api.Version{}
	if from == "" {
		// The one before it that the store keeps; the first is compared with nothing.
		for _, v := range list {
			if v.Number < newer.Number {
				from = strconv.FormatUint(v.Number, 10)
				break
			}
		}
	}
	if from != "" {
		if older, err = k.Version(from); err != nil {
			return api.Diff{}, err
		}
	}
	out := api.Diff{From: older.Number, To: newer.Number, Files: []api.FileDiff{}}
	for _, f := range diffVersions(older, newer) {
		out.Files = append(out.Files, api.FileDiff(f))
	}
	return out, nil
}
