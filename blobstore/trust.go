package blobstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// What the catalog knows about signatures; see package db.
type (
	TrustMark    = db.TrustMark
	TrustKey     = db.TrustKey
	Signature    = db.Signature
	Verification = db.Verification
)

// MarkBundle is the kind of marks for names of bundles.
const MarkBundle = db.MarkBundle

// trustFact is something about trust that outlives the catalog: its row, and a note in
// a pack. Exactly one of Mark and Key is set.
type trustFact struct {
	Mark *TrustMark `json:"mark,omitempty"`
	Key  *TrustKey  `json:"key,omitempty"`
}

// name is the fact's among those in notes: a later one of the name takes its place.
func (f trustFact) name() string {
	if f.Key != nil {
		return "key " + string(f.Key.ID)
	}
	if f.Mark.Kind == db.MarkBundle {
		return "bundle " + f.Mark.Name + " " + string(f.Mark.Key)
	}
	return "serial " + f.Mark.Name + " " + string(f.Mark.Key)
}

func (f trustFact) put(tx *db.Tx) error {
	if f.Key != nil {
		return tx.PutTrustKey(*f.Key)
	}
	return tx.PutTrustMark(f.Mark)
}

// setTrust writes facts, and returns the notes that tell of them.
func setTrust(tx *db.Tx, facts []trustFact) (notes []pack.Note, err error) {
	for _, f := range facts {
		if err := f.put(tx); err != nil {
			return nil, err
		}
		n, err := f.note(tx)
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// Trust lets marks be set with Commit, in its transaction: a name moves together with
// the serial that it was accepted with, and not at all (content.ErrConflict) when that
// is below the mark of another manifest by then.
func (ses *Session) Trust(marks ...TrustMark) {
	ses.trust = marked(marks)
}

// marked are the facts that marks are.
func marked(marks []TrustMark) (facts []trustFact) {
	for _, m := range marks {
		facts = append(facts, trustFact{Mark: &m})
	}
	return facts
}

// SetTrustMarks sets marks on their own. Errors: content.ErrConflict for one that is
// below a mark of another manifest; content.ErrDenied for a store that cannot be
// written to.
func (s *Store) SetTrustMarks(ctx context.Context, marks ...TrustMark) error {
	return s.SetTrustedNames(ctx, marks)
}

// SetTrustedNames is SetNames for names that were accepted with marks, which are set in
// the same transaction. Errors: those of both.
func (s *Store) SetTrustedNames(ctx context.Context, marks []TrustMark, changes ...content.NameChange) error {
	if len(marks) == 0 && len(changes) == 0 {
		return nil
	}
	b := newBatch(nil)
	b.names, b.trust = changes, marked(marks)
	return s.commit(ctx, b)
}

// TrustMarks lists the highest serials that keys have signed for a name with.
func (s *Store) TrustMarks(ctx context.Context, name oci.Reference) (marks []TrustMark, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		marks, err = tx.TrustMarks(db.MarkRef, name.String())
		return err
	})
	return marks, err
}

// BundleMarks lists the highest serials that keys have signed bundles of a name with, and
// the time that what bundles say is held against: now, or when the newest of all marks
// was made where the clock was set back.
func (s *Store) BundleMarks(ctx context.Context, name string) (marks []TrustMark, now time.Time, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if marks, err = tx.TrustMarks(db.MarkBundle, name); err == nil {
			now, err = tx.TrustNow()
		}
		return err
	})
	return marks, now, err
}

// PutTrustKey writes what is known of a key: when it counts, and what it is called.
func (s *Store) PutTrustKey(ctx context.Context, k TrustKey) error {
	b := newBatch(nil)
	b.trust = []trustFact{{Key: &k}}
	return s.commit(ctx, b)
}

// TrustKeys lists the keys that the store knows by id.
func (s *Store) TrustKeys(ctx context.Context) (keys []TrustKey, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		keys, err = tx.TrustKeys()
		return err
	})
	return keys, err
}

// Signatures lists the signatures of a manifest that were seen, the oldest first. The
// manifest need not be held.
func (s *Store) Signatures(ctx context.Context, subject oci.Digest) (sigs []Signature, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		for sig, err := range tx.Signatures(subject) {
			if err != nil {
				return err
			}
			sigs = append(sigs, sig)
		}
		return nil
	})
	return sigs, err
}

// NoteSignatures notes signatures as seen now, as far as they are not known, and
// returns all that are known of subject then.
func (s *Store) NoteSignatures(ctx context.Context, subject oci.Digest, sigs ...Signature) ([]Signature, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	if len(sigs) > 0 {
		if err := s.db.Write(ctx, func(tx *db.Tx) error { return tx.PutSignatures(sigs) }); err != nil {
			return nil, err
		}
	}
	return s.Signatures(ctx, subject)
}

// Verifications lists what was found out under a policy about the signatures of
// subject.
func (s *Store) Verifications(ctx context.Context, subject, policy oci.Digest) (vs []Verification, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		vs, err = tx.Verifications(subject, policy)
		return err
	})
	return vs, err
}

// NoteVerifications keeps what was found out under a policy about the signatures of
// subject, and forgets what was found out under others.
func (s *Store) NoteVerifications(ctx context.Context, subject, policy oci.Digest, vs ...Verification) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if err := tx.ForgetVerifications(subject, policy); err != nil {
			return err
		}
		return tx.PutVerifications(vs)
	})
}

// restoreTrust writes the facts about trust that the packs tell of. One that cannot be
// read is told of: what it forbade is allowed then.
func (r *rebuilder) restoreTrust(ctx context.Context) error {
	if len(r.trust) == 0 {
		return nil
	}
	return r.db.Write(ctx, func(tx *db.Tx) error {
		var last int64
		// In their order: a label that went over to another key stays there.
		for _, n := range slices.SortedFunc(maps.Values(r.trust), func(a, b pack.Note) int { return cmp.Compare(a.Seq, b.Seq) }) {
			last = max(last, n.Seq)
			f, err := readFact(n)
			if err != nil {
				r.left("the note of trust %q: %s", n.Name, lastCause(err))
				continue
			}
			if err := f.put(tx); err != nil {
				return err
			}
		}
		return tx.RaiseTrustSeq(last)
	})
}

// readFact reads a note's fact, which must be the one that its name says.
func readFact(n pack.Note) (f trustFact, err error) {
	if err := json.Unmarshal(n.Value, &f); err != nil {
		return f, fmt.Errorf("%w: %v", content.ErrCorrupt, err)
	}
	if (f.Mark == nil) == (f.Key == nil) || f.name() != n.Name {
		return f, fmt.Errorf("%w: it is about something else", content.ErrCorrupt)
	}
	if f.Mark != nil {
		_, err = oci.ParseDigest(string(f.Mark.Digest))
	}
	return f, err
}
