package blobstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
)

// What counts where nobody has said anything else.
const (
	DefaultGrace       = time.Hour
	DefaultKeepHistory = 14 * 24 * time.Hour
)

// Settings are what a store is told to do, by whoever keeps it.
type Settings struct {
	// Quota is how many bytes the store may take, as Usage counts them; 0 for as many
	// as the disk has.
	Quota int64
	// Grace is how long a garbage collection leaves alone what came in without a name.
	// Times are kept to the millisecond.
	Grace time.Duration
	// KeepHistory is how long a garbage collection keeps what a name stood for before
	// it was moved or removed.
	KeepHistory time.Duration
}

// DefaultSettings are those of a store that was told nothing.
func DefaultSettings() Settings {
	return Settings{Grace: DefaultGrace, KeepHistory: DefaultKeepHistory}
}

// The keys of settings, in the catalog's meta behind settingPrefix, in notes as they
// are. The values are integers: bytes and milliseconds.
const (
	settingPrefix      = "setting "
	settingQuota       = "quota"
	settingGrace       = "grace"
	settingKeepHistory = "keep-history"
)

func (s Settings) values() map[string]int64 {
	return map[string]int64{
		settingQuota: s.Quota, settingGrace: s.Grace.Milliseconds(), settingKeepHistory: s.KeepHistory.Milliseconds(),
	}
}

func (s *Settings) set(key string, v int64) {
	switch key {
	case settingQuota:
		s.Quota = v
	case settingGrace:
		s.Grace = time.Duration(v) * time.Millisecond
	case settingKeepHistory:
		s.KeepHistory = time.Duration(v) * time.Millisecond
	}
}

// check refuses what no store can be told.
func (s Settings) check() error {
	const longest = 100 * 366 * 24 * time.Hour
	switch {
	case s.Quota < 0:
		return fmt.Errorf("quota: %w: %d bytes", content.ErrInvalid, s.Quota)
	case s.Grace < 0 || s.Grace > longest:
		return fmt.Errorf("grace: %w: %s", content.ErrInvalid, s.Grace)
	case s.KeepHistory < 0 || s.KeepHistory > longest:
		return fmt.Errorf("keep-history: %w: %s", content.ErrInvalid, s.KeepHistory)
	}
	return nil
}

// Settings are what the store is told at this moment. Errors: content.ErrCorrupt for a
// value that none can be.
func (s *Store) Settings(ctx context.Context) (settings Settings, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		settings, err = readSettings(tx)
		return err
	})
	return settings, err
}

func readSettings(tx *db.Tx) (Settings, error) {
	s := DefaultSettings()
	for key := range s.values() {
		text, found, err := tx.Meta(settingPrefix + key)
		if err != nil {
			return s, err
		}
		if !found {
			continue
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return s, fmt.Errorf("setting %s: %w: %q", key, content.ErrCorrupt, text)
		}
		s.set(key, v)
	}
	if err := s.check(); err != nil {
		return s, fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	return s, nil
}

// SetSettings lets change do what it wants with the settings, in one transaction. A
// value that is the default is as one that was never set. Notes in a pack tell of it,
// so that a rebuilt catalog has the same. Errors: content.ErrInvalid for a value that
// none can be; content.ErrDenied for a store that can only be read.
func (s *Store) SetSettings(ctx context.Context, change func(*Settings)) error {
	b := newBatch(nil)
	b.facts = func(tx *db.Tx) ([]pack.Note, error) {
		now, err := readSettings(tx)
		was := now.values()
		if errors.Is(err, content.ErrCorrupt) { // all of them are written anew
			now, was, err = DefaultSettings(), nil, nil
		}
		if err != nil {
			return nil, err
		}
		change(&now)
		if err := now.check(); err != nil {
			return nil, err
		}
		return setSettings(tx, was, now.values())
	}
	return s.commit(ctx, b)
}

// setSettings writes the values that have changed, or whose old one is not known, and
// returns the notes of them.
func setSettings(tx *db.Tx, was, now map[string]int64) (notes []pack.Note, err error) {
	usual := DefaultSettings().values()
	for _, key := range slices.Sorted(maps.Keys(now)) {
		value := strconv.FormatInt(now[key], 10)
		if v, known := was[key]; known && v == now[key] {
			continue
		}
		if now[key] == usual[key] {
			value = ""
		}
		if err := putSetting(tx, key, value); err != nil {
			return nil, err
		}
		n, err := settingNote(tx, key, value)
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// putSetting writes a setting of whatever version; "" takes it back.
func putSetting(tx *db.Tx, key, value string) error {
	if value == "" {
		return tx.DeleteMeta(settingPrefix + key)
	}
	return tx.SetMeta(settingPrefix+key, value)
}

// settingNote is the note that a setting has a value, "" for none any more.
func settingNote(tx *db.Tx, key, value string) (pack.Note, error) {
	seq, err := tx.NextSettingSeq()
	n := pack.Note{Type: pack.NoteSetting, Seq: seq, When: tx.Now, Name: key}
	if value != "" {
		n.Value = json.RawMessage(value)
	}
	return n, err
}

// restoreSettings writes the settings, pins and sites that the packs tell of. Those of later
// versions are kept as they are.
func (r *rebuilder) restoreSettings(ctx context.Context) error {
	if len(r.settings) == 0 {
		return nil
	}
	return r.db.Write(ctx, func(tx *db.Tx) error {
		var last int64
		for _, n := range slices.SortedFunc(maps.Values(r.settings), func(a, b pack.Note) int { return cmp.Compare(a.Seq, b.Seq) }) {
			last = max(last, n.Seq)
			if err := r.restoreSetting(tx, n); err != nil {
				return err
			}
		}
		return tx.RaiseSettingSeq(last)
	})
}

func (r *rebuilder) restoreSetting(tx *db.Tx, n pack.Note) error {
	if name, isPin := pinnedName(n.Name); isPin {
		if len(n.Value) == 0 {
			return nil
		}
		_, err := tx.SetPinned(name, true) // where the name is lost, so is its pin
		return err
	}
	if taken, err := r.restoreSite(tx, n); taken || err != nil {
		return err
	}
	v, err := strconv.ParseInt(string(n.Value), 10, 64)
	if usual, known := DefaultSettings().values()[n.Name]; known && len(n.Value) > 0 {
		s := DefaultSettings()
		s.set(n.Name, v)
		if err != nil || s.check() != nil {
			r.left("the setting %s: it cannot be %s; it is back at %d", n.Name, n.Value, usual)
			return nil
		}
	}
	return putSetting(tx, n.Name, string(n.Value))
}
