package db

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// The kinds of marks.
const (
	MarkRef    = "ref"    // of a manifest, for a name of images
	MarkBundle = "bundle" // of the index.json of a bundle, for its name
)

// TrustMark is the highest serial that a key has signed a manifest for a name with, or
// the index.json of a bundle for the bundle's name.
// Its JSON is that of notes in packs.
type TrustMark struct {
	Kind   string     `json:"kind,omitempty"` // "" is MarkRef
	Name   string     `json:"name"`
	Key    oci.Digest `json:"key"`
	Serial int64      `json:"serial"`
	Digest oci.Digest `json:"digest"` // of the manifest
	// At is when it was accepted or, if that is later, when it says it was made.
	At time.Time `json:"at"`
	// Lower lets it take the place of a higher one of another manifest.
	Lower bool `json:"-"`
}

const (
	putMark = `INSERT INTO trust_state (name, kind, key_id, serial, digest, at) VALUES (?,?,?,?,?,?)
		ON CONFLICT (name, kind, key_id) DO UPDATE SET serial = excluded.serial, digest = excluded.digest, at = excluded.at`
	selectMarks = `SELECT kind, name, key_id, serial, digest, at FROM trust_state WHERE name = ? AND kind = ? ORDER BY key_id`

	selectAllMarks = `SELECT kind, name, key_id, serial, digest, at FROM trust_state ORDER BY kind, name, key_id`
	selectNow      = `SELECT max(?1, ifnull(max(at), 0)) FROM trust_state`
)

// PutTrustMark sets a mark. One that is higher by now stays: of the same manifest its
// serial goes into m, and of another that is ErrConflict, since m was judged without
// it, unless m is to be lower.
func (tx *Tx) PutTrustMark(m *TrustMark) error {
	raw, err := oci.RawDigest(m.Digest)
	if err != nil {
		return err
	}
	marks, err := tx.TrustMarks(m.kind(), m.Name)
	if err != nil {
		return err
	}
	for _, old := range marks {
		if old.Key == m.Key && old.At.After(m.At) {
			m.At = old.At // time goes on, whatever the clock says
		}
		switch {
		case old.Key != m.Key || old.Serial <= m.Serial || m.Lower:
		case old.Digest == m.Digest:
			m.Serial = old.Serial
		default:
			return fmt.Errorf("name %s: %w: a newer %s was accepted for it meanwhile", m.Name, content.ErrConflict, m.what())
		}
	}
	_, err = tx.exec(putMark, m.Name, m.kind(), string(m.Key), m.Serial, raw, m.At.UnixMilli())
	return err
}

func (m TrustMark) kind() string { return cmp.Or(m.Kind, MarkRef) }

func (m TrustMark) what() string {
	if m.kind() == MarkBundle {
		return "bundle"
	}
	return "manifest"
}

// TrustMarks lists the marks of a name of a kind by key.
func (tx *Tx) TrustMarks(kind, name string) ([]TrustMark, error) {
	return tx.trustMarks(selectMarks, name, kind)
}

// TrustNow is the time that what is signed is held against: that of the transaction, or
// of the newest mark where a clock was set back.
func (tx *Tx) TrustNow() (time.Time, error) {
	now := tx.Now.UnixMilli()
	_, err := tx.get(selectNow, []any{now}, &now)
	return fromMilli(now), err
}

// AllTrustMarks lists the marks of all names, by kind, name and key.
func (tx *Tx) AllTrustMarks() ([]TrustMark, error) { return tx.trustMarks(selectAllMarks) }

func (tx *Tx) trustMarks(query string, args ...any) (marks []TrustMark, err error) {
	err = tx.each(query, args, func(scan func(...any) error) (bool, error) {
		var (
			m   TrustMark
			key string
			raw []byte
			at  int64
		)
		err := scan(&m.Kind, &m.Name, &key, &m.Serial, &raw, &at)
		if err == nil {
			m.Digest, err = oci.DigestFromRaw(raw)
		}
		m.Key, m.At = oci.Digest(key), fromMilli(at)
		if m.Kind == MarkRef {
			m.Kind = ""
		}
		marks = append(marks, m)
		return true, err
	})
	return marks, err
}

// TrustKey is a public key that the store knows, and when it counts. Its JSON is that
// of notes in packs.
type TrustKey struct {
	ID        oci.Digest `json:"id"` // of its SubjectPublicKeyInfo
	Algorithm string     `json:"algorithm"`
	DER       []byte     `json:"spki"`
	Label     string     `json:"label,omitempty"`
	NotBefore time.Time  `json:"notBefore,omitzero"` // zero: no limit
	NotAfter  time.Time  `json:"notAfter,omitzero"`  // zero: no limit
	RevokedAt time.Time  `json:"revokedAt,omitzero"` // zero: not revoked
	AddedAt   time.Time  `json:"addedAt"`
}

// PutTrustKey writes what is known of a key, in place of what was. A label that
// another key has goes over to this one.
func (tx *Tx) PutTrustKey(k TrustKey) error {
	label := any(nil)
	if k.Label != "" {
		label = k.Label
		if _, err := tx.exec(`UPDATE trust_keys SET label = NULL WHERE label = ? AND key_id <> ?`, k.Label, string(k.ID)); err != nil {
			return err
		}
	}
	_, err := tx.exec(`INSERT INTO trust_keys (key_id, alg, spki_der, label, not_before, not_after, revoked_at, added_at) VALUES (?,?,?,?,?,?,?,?)
		ON CONFLICT (key_id) DO UPDATE SET label = excluded.label, not_before = excluded.not_before, not_after = excluded.not_after,
		revoked_at = excluded.revoked_at`,
		string(k.ID), k.Algorithm, k.DER, label, milliOrNull(k.NotBefore), milliOrNull(k.NotAfter), milliOrNull(k.RevokedAt), k.AddedAt.UnixMilli())
	return err
}

// TrustKeys lists the keys by id.
func (tx *Tx) TrustKeys() (keys []TrustKey, err error) {
	const query = `SELECT key_id, alg, spki_der, label, not_before, not_after, revoked_at, added_at FROM trust_keys ORDER BY key_id`
	err = tx.each(query, nil, func(scan func(...any) error) (bool, error) {
		var (
			k                      TrustKey
			id                     string
			label                  sql.NullString
			before, after, revoked sql.NullInt64
			added                  int64
		)
		err := scan(&id, &k.Algorithm, &k.DER, &label, &before, &after, &revoked, &added)
		k.ID, k.Label, k.AddedAt = oci.Digest(id), label.String, fromMilli(added)
		k.NotBefore, k.NotAfter, k.RevokedAt = timeFrom(before), timeFrom(after), timeFrom(revoked)
		keys = append(keys, k)
		return true, err
	})
	return keys, err
}

// NextTrustSeq advances the counter of the notes about trust.
func (tx *Tx) NextTrustSeq() (seq int64, err error) { return tx.nextOf("trust_seq") }

// RaiseTrustSeq lets the counter go on above seq.
func (tx *Tx) RaiseTrustSeq(seq int64) error { return tx.raise("trust_seq", seq) }

// Signature is one signature that was seen, of a manifest that need not be held. Its
// row stays when the manifest goes: when it was seen first has to.
type Signature struct {
	ID          int64 // 0 before it is written
	Subject     oci.Digest
	Kind        string // simplesigning or bundle
	Predicate   string // type of what it states, "" for simplesigning
	Blob        oci.Digest
	Manifest    oci.Digest // that carries it
	Sig         []byte
	Annotations map[string]string
	KeyHint     string
	Identity    string // that it claims, unverified
	Source      string
	FirstSeen   time.Time
}

const (
	putSignature = `INSERT INTO signatures (subject_digest, kind, predicate_type, blob_digest, manifest_digest, sig, annotations, key_hint,
		claimed_identity, source, first_seen) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (subject_digest, kind, blob_digest, sig)
		DO UPDATE SET manifest_digest = excluded.manifest_digest WHERE manifest_digest <> excluded.manifest_digest`
	selectSignatures = `SELECT id, kind, predicate_type, blob_digest, manifest_digest, sig, annotations, key_hint, claimed_identity, source, first_seen
		FROM signatures WHERE subject_digest = ? ORDER BY id`
)

// PutSignatures notes signatures, as seen now. Those that are known keep when they
// were seen first. A clock that was set back does not make now earlier than what keys
// that were trusted have signed since.
func (tx *Tx) PutSignatures(sigs []Signature) error {
	now, err := tx.TrustNow()
	if err != nil {
		return err
	}
	for _, s := range sigs {
		var raws [3][]byte
		for i, d := range []oci.Digest{s.Subject, s.Blob, s.Manifest} {
			raw, err := oci.RawDigest(d)
			if err != nil {
				return err
			}
			raws[i] = raw
		}
		annotations, err := json.Marshal(s.Annotations)
		if err != nil {
			return fmt.Errorf("signature %s: %w: %v", s.Blob, content.ErrInvalid, err)
		}
		_, err = tx.exec(putSignature, raws[0], s.Kind, s.Predicate, raws[1], raws[2], s.Sig, string(annotations), s.KeyHint,
			s.Identity, s.Source, now.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// Signatures lists the signatures that were seen of a manifest, the oldest first.
func (tx *Tx) Signatures(subject oci.Digest) iter.Seq2[Signature, error] {
	return stream(func(yield func(Signature) bool) error {
		raw, err := oci.RawDigest(subject)
		if err != nil {
			return err
		}
		return tx.each(selectSignatures, []any{raw}, func(scan func(...any) error) (bool, error) {
			s, err := scanSignature(scan)
			s.Subject = subject
			return err == nil && yield(s), err
		})
	})
}

func scanSignature(scan func(...any) error) (s Signature, err error) {
	var (
		blob, manifest []byte
		annotations    string
		seen           int64
	)
	err = scan(&s.ID, &s.Kind, &s.Predicate, &blob, &manifest, &s.Sig, &annotations, &s.KeyHint, &s.Identity, &s.Source, &seen)
	if err != nil {
		return s, err
	}
	s.FirstSeen = fromMilli(seen)
	if s.Blob, err = oci.DigestFromRaw(blob); err != nil {
		return s, err
	}
	if s.Manifest, err = oci.DigestFromRaw(manifest); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(annotations), &s.Annotations); err != nil {
		return s, fmt.Errorf("signature %s: %w: its annotations are no JSON", s.Blob, content.ErrCorrupt)
	}
	return s, nil
}

// Verification is whether a key made a signature, found out under a policy.
type Verification struct {
	Signature int64
	Key       oci.Digest
	Policy    oci.Digest
	Made      bool
}

const (
	outcomeMade = "made"
	outcomeNot  = "not-made"
)

// PutVerifications notes outcomes, in place of earlier ones.
func (tx *Tx) PutVerifications(vs []Verification) error {
	for _, v := range vs {
		raw, err := oci.RawDigest(v.Policy)
		if err != nil {
			return err
		}
		outcome := outcomeNot
		if v.Made {
			outcome = outcomeMade
		}
		_, err = tx.exec(`INSERT INTO verifications (signature_id, key_id, policy_digest, outcome, at) VALUES (?,?,?,?,?)
			ON CONFLICT (signature_id, key_id, policy_digest) DO UPDATE SET outcome = excluded.outcome, at = excluded.at`,
			v.Signature, string(v.Key), raw, outcome, tx.Now.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// Verifications lists what was found out under a policy about the signatures of a
// manifest. Those of other policies are forgotten by ForgetVerifications.
func (tx *Tx) Verifications(subject, policy oci.Digest) (vs []Verification, err error) {
	raw, err := oci.RawDigest(subject)
	if err != nil {
		return nil, err
	}
	by, err := oci.RawDigest(policy)
	if err != nil {
		return nil, err
	}
	const query = `SELECT v.signature_id, v.key_id, v.outcome FROM signatures s CROSS JOIN verifications v ON v.signature_id = s.id
		WHERE s.subject_digest = ? AND v.policy_digest = ?`
	err = tx.each(query, []any{raw, by}, func(scan func(...any) error) (bool, error) {
		v := Verification{Policy: policy}
		var key, outcome string
		err := scan(&v.Signature, &key, &outcome)
		v.Key, v.Made = oci.Digest(key), outcome == outcomeMade
		vs = append(vs, v)
		return true, err
	})
	return vs, err
}

// ForgetVerifications drops what was found out about a manifest under other policies
// than this one.
func (tx *Tx) ForgetVerifications(subject, but oci.Digest) error {
	raw, err := oci.RawDigest(subject)
	if err != nil {
		return err
	}
	by, err := oci.RawDigest(but)
	if err != nil {
		return err
	}
	_, err = tx.exec(`DELETE FROM verifications WHERE policy_digest <> ? AND signature_id IN (SELECT id FROM signatures WHERE subject_digest = ?)`, by, raw)
	return err
}

// Vouching is a signature that was found to be good.
type Vouching struct {
	Subject oci.Digest
	Key     oci.Digest
	At      time.Time // when that was found last
}

// Vouchings lists by which keys some manifests are signed, each pair once, in no order.
func (tx *Tx) Vouchings(subjects []oci.Digest) ([]Vouching, error) {
	raws, err := rawArgs(subjects)
	if err != nil {
		return nil, err
	}
	var found []Vouching
	err = inChunks(raws, func(args []any, list string) error {
		return tx.each(`SELECT s.subject_digest, v.key_id, max(v.at) FROM signatures s CROSS JOIN verifications v ON v.signature_id = s.id
			WHERE v.outcome = 'made' AND s.subject_digest IN (`+list+`) GROUP BY 1, 2`, args, func(scan func(...any) error) (bool, error) {
			var (
				raw []byte
				key string
				at  int64
				v   Vouching
			)
			err := scan(&raw, &key, &at)
			if err == nil {
				v.Subject, err = oci.DigestFromRaw(raw)
			}
			v.Key, v.At = oci.Digest(key), fromMilli(at)
			found = append(found, v)
			return true, err
		})
	})
	return found, err
}
