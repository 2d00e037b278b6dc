package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"bellhop/dispatcher/rule"
)

// ErrNoVersion says that the store does not hold the version asked for, or none at all.
var ErrNoVersion = errors.New("no such version of the rules")

// Origin is what brought a version into force.
type Origin string

// The origins.
const (
	OriginFiles    Origin = "files"    // the rule files were read
	OriginRollback Origin = "rollback" // an operator went back to an older version
)

// Version is an entry in the history of rule sets. The newest is the current one, the last that was accepted.
type Version struct {
	Number   uint64    `json:"number"` // 1, 2, ...; never used again
	Digest   string    `json:"digest"` // 12 hex digits, the rules_version of outcomes
	At       time.Time `json:"at"`     // when it came into force
	Origin   Origin    `json:"origin"`
	Of       uint64    `json:"of,omitempty"` // the version that a rollback went back to
	Rules    int       `json:"rules"`
	Webhooks int       `json:"webhooks"`

	// Files is the text that the rules were read from, in the order they were put in. History leaves it out.
	Files []rule.SourceFile `json:"-"`
}

// PutVersion records the rule set that was read from the files and gives the version that is in force now, with its
// files. Of v it takes Digest, Files, Rules, Webhooks, and At, whose zero means now.
//
//   - A digest equal to the current one's adds nothing: the version keeps its number and time, and takes the new text.
//   - While a rollback holds, the files that it went back from add nothing either: what is returned, and must be put in
//     force, is the version that was rolled back to. Only their bytes count: neither the paths under which they are found
//     nor the digest, which the daemon's defaults may have changed. An edited comment is a change.
//   - Any other becomes a new entry and ends a rollback, also where the digest was in force before.
func (s *Store) PutVersion(v Version) (Version, error) {
	if !isDigest(v.Digest) {
		return Version{}, fmt.Errorf("put version: the digest %q is not of 12 hex digits", v.Digest)
	}
	if v.At.IsZero() {
		v.At = s.now()
	}
	src, err := pack(v.Files)
	if err != nil {
		return Version{}, fmt.Errorf("put version %s: %w", v.Digest, err)
	}
	key, texts := src.key(), textSum(v.Files)
	s.mu.Lock()
	defer s.mu.Unlock()

	// Compressed before the transaction, so that readers of large sets never wait for it, and only where it is new.
	var blob []byte
	if has, err := s.hasSource(key); err != nil {
		return Version{}, err
	} else if !has {
		if blob, err = src.compress(); err != nil {
			return Version{}, fmt.Errorf("put version %s: %w", v.Digest, err)
		}
	}
	var now versionRecord
	err = s.update("put version", func(tx *bolt.Tx) error {
		st, err := readRulesState(tx)
		if err != nil {
			return err
		}
		cur, err := currentVersion(tx)
		if err != nil && !errors.Is(err, ErrNoVersion) {
			return err
		}
		was := st
		st.Files, st.FilesSource, st.FilesTexts = v.Digest, key, texts
		switch {
		case was.Held && was.unchanged(key, texts):
			now = cur
		case cur.Number != 0 && cur.Digest == v.Digest:
			st.Held = false
			old := cur.Source
			cur.Source = key
			now = cur
			if old == key {
				break
			}
			if err := errors.Join(putSource(tx, key, blob), writeVersion(tx, now), dropSource(tx, old)); err != nil {
				return err
			}
		default:
			st.Held = false
			now = versionRecord{Version: Version{Digest: v.Digest, At: v.At, Origin: OriginFiles, Rules: v.Rules,
				Webhooks: v.Webhooks}, Source: key}
			if err := putSource(tx, key, blob); err != nil {
				return err
			}
			if now, err = s.addVersion(tx, now); err != nil {
				return err
			}
		}
		if st == was {
			return nil
		}
		return putJSON(tx, bucketRules, keyState, st)
	})
	if err != nil {
		return Version{}, err
	}
	if now.Source == key {
		now.Files = v.Files
		return now.Version, nil
	}
	return s.read(currentVersion) // still the same: mu is held
}

// Rollback puts the rules of an older version back in force, as a new entry in the history. It holds until the files
// next change: see PutVersion. Going back to what is in force already adds nothing; going back to what the files say
// ends a rollback.
func (s *Store) Rollback(number uint64) (Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var now versionRecord
	err := s.update("roll back", func(tx *bolt.Tx) error {
		target, err := readVersion(tx, number)
		if err != nil {
			return err
		}
		if now, err = currentVersion(tx); err != nil || now.Digest == target.Digest {
			return err
		}
		st, err := readRulesState(tx)
		if err != nil {
			return err
		}
		st.Held = target.Digest != st.Files
		target.Version.At, target.Origin, target.Of = s.now(), OriginRollback, number
		if now, err = s.addVersion(tx, target); err != nil {
			return err
		}
		return putJSON(tx, bucketRules, keyState, st)
	})
	if err != nil {
		return Version{}, err
	}
	return s.read(currentVersion) // still the same: mu is held
}

// RolledBackFrom gives the digest of the rule files that a rollback holds off, and whether one does. It is for display:
// what a rollback holds off is for PutVersion to decide, and a store that cannot be read answers false here.
func (s *Store) RolledBackFrom() (filesDigest string, ok bool) {
	var st rulesState
	err := s.view("read versions", func(tx *bolt.Tx) (err error) {
		st, err = readRulesState(tx)
		return err
	})
	if err != nil || !st.Held {
		return "", false
	}
	return st.Files, true
}

// Current gives the version in force, with its files. It is ErrNoVersion where no rules were ever accepted.
func (s *Store) Current() (Version, error) {
	return s.read(currentVersion)
}

// History gives the versions that the store keeps, without their files, the newest first.
func (s *Store) History() ([]Version, error) {
	var all []Version
	err := s.view("read versions", func(tx *bolt.Tx) error {
		return eachVersion(tx, func(r versionRecord) bool {
			all = append(all, r.Version)
			return true
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// minPrefix is how much of a digest names a version.
const minPrefix = 4

// Get gives a version with its files, by its number or by the first digits of its digest, four at least. A digest that
// was in force several times names the latest of them; a number goes before a digest that begins with the same digits.
func (s *Store) Get(ref string) (Version, error) {
	return s.read(func(tx *bolt.Tx) (versionRecord, error) { return find(tx, ref) })
}

// find resolves what Get takes.
func find(tx *bolt.Tx, ref string) (versionRecord, error) {
	number, numErr := strconv.ParseUint(ref, 10, 64)
	if numErr == nil {
		r, err := readVersion(tx, number)
		if err == nil || !errors.Is(err, ErrNoVersion) {
			return r, err
		}
	}
	prefix := strings.ToLower(ref)
	switch {
	case len(prefix) >= minPrefix && isHex(prefix):
	case numErr == nil:
		return versionRecord{}, noVersion(tx, ref)
	default:
		return versionRecord{}, fmt.Errorf("%w: %q is neither a number nor the first %d or more hex digits of a digest",
			ErrNoVersion, ref, minPrefix)
	}
	var found versionRecord
	other := ""
	err := eachVersion(tx, func(r versionRecord) bool {
		switch {
		case !strings.HasPrefix(r.Digest, prefix):
		case found.Number == 0:
			found = r
		case r.Digest != found.Digest:
			other = r.Digest
		}
		return other == ""
	})
	switch {
	case err != nil:
		return versionRecord{}, err
	case other != "":
		return versionRecord{}, fmt.Errorf("%w: %q may be %s or %s: give more digits", ErrNoVersion, ref, found.Digest, other)
	case found.Number == 0:
		return versionRecord{}, noVersion(tx, ref)
	}
	return found, nil
}

// read gives the version that pick chooses, with its files. Record and text are of one transaction, so that a version
// that the history lets go of meanwhile is read whole or not at all.
func (s *Store) read(pick func(*bolt.Tx) (versionRecord, error)) (Version, error) {
	var r versionRecord
	var blob []byte
	err := s.view("read versions", func(tx *bolt.Tx) (err error) {
		if r, err = pick(tx); err != nil {
			return err
		}
		b, err := bucket(tx, bucketSources)
		if err != nil {
			return err
		}
		blob = append(blob, b.Get([]byte(r.Source))...)
		return nil
	})
	if err != nil {
		return Version{}, err
	}
	src, err := expand(r.Source, blob)
	if err != nil {
		return Version{}, fmt.Errorf("read version %d: store %s: %w", r.Number, s.path, err)
	}
	if r.Files, err = src.files(); err != nil {
		return Version{}, fmt.Errorf("read version %d: store %s: %w: %w", r.Number, s.path, ErrDamaged, err)
	}
	return r.Version, nil
}

func isDigest(s string) bool { return len(s) == 12 && isHex(s) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
