package blobstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/db"
)

// retell writes again what a damaged pack has lost and the catalog knows, so that the
// pack can go: from then on nothing shows any more that something was lost. It says why
// the pack stays all the same: objects are in it, or not all of that can be told.
func (m *Maintenance) retell(ctx context.Context, id int64) (kept string, err error) {
	live := false
	err = m.s.db.Read(ctx, func(tx *db.Tx) error {
		p, found, err := tx.Pack(id)
		live = found && p.Live != 0
		return err
	})
	if live || err != nil {
		return packDamaged, err
	}
	// A check that reads the headers of records, and notes, but as good as no content.
	report, err := m.s.CheckAll(ctx, CheckOptions{Sample: math.SmallestNonzeroFloat64})
	if err != nil {
		return "", err
	}
	for _, text := range report.Mended {
		m.s.warn(text)
	}
	if len(report.Catalog)+len(report.Newer) > 0 {
		return packDamaged, nil
	}
	b := newBatch(nil)
	b.facts = toldAgain
	return "", m.s.commit(ctx, b)
}

// toldAgain are notes of all that outlives the catalog and that no check compares with its
// notes: trust, settings, pins, sites and bundles.
func toldAgain(tx *db.Tx) (notes []pack.Note, err error) {
	if notes, err = trustToldAgain(tx); err != nil {
		return nil, err
	}
	s, err := readSettings(tx)
	if err != nil {
		return nil, err
	}
	values, usual := s.values(), DefaultSettings().values()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := ""
		if values[key] != usual[key] {
			value = fmt.Sprint(values[key])
		}
		n, err := settingNote(tx, key, value)
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	var pinned []string
	for r, err := range tx.Refs("") {
		if err != nil {
			return nil, err
		}
		if r.Pinned {
			pinned = append(pinned, r.Name)
		}
	}
	for _, name := range pinned {
		n, err := settingNote(tx, pinPrefix+name, "true")
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	sites, err := sitesToldAgain(tx)
	return append(notes, sites...), err
}

func trustToldAgain(tx *db.Tx) (notes []pack.Note, err error) {
	keys, err := tx.TrustKeys()
	if err != nil {
		return nil, err
	}
	marks, err := tx.AllTrustMarks()
	if err != nil {
		return nil, err
	}
	facts := marked(marks)
	for _, k := range keys {
		facts = append(facts, trustFact{Key: &k})
	}
	for _, f := range facts {
		n, err := f.note(tx)
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// note is the note that tells of the fact from now on.
func (f trustFact) note(tx *db.Tx) (pack.Note, error) {
	value, err := json.Marshal(f)
	if err != nil {
		return pack.Note{}, fmt.Errorf("note of trust: %w", err)
	}
	seq, err := tx.NextTrustSeq()
	return pack.Note{Type: pack.NoteTrust, Seq: seq, When: tx.Now, Name: f.name(), Value: value}, err
}
