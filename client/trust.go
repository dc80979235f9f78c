package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/oci"
	"dist.example/sign"
)

// TrustOptions say whose signatures count.
type TrustOptions struct {
	// Policy is the file of the policy, which has to be there; "" means DefaultPolicy.
	Policy string
	// DefaultPolicy is a file that is taken where it is there. Without a policy
	// everything is accepted.
	DefaultPolicy string
	// Keys is the folder of the user's keys.
	Keys string
	// Creator is what signatures say made them, such as dist/1.0.
	Creator string
}

// inForce is the policy that counts, nil for none. Errors: those of sign.ReadPolicy.
func (c *Client) inForce() (*sign.Policy, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.policy != nil {
		return c.policy, nil
	}
	path := c.opts.Trust.Policy
	if path == "" {
		path = c.opts.Trust.DefaultPolicy
		// A link that leads nowhere is no word for "no policy".
		if _, err := os.Lstat(path); path == "" || errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
	}
	p, err := sign.ReadPolicy(path)
	c.policy = p
	return p, err
}

// trial is a manifest, under a name, before the judge.
type trial struct {
	c       *Client
	name    oci.Reference // zero for none
	subject sign.Subject
	found   []*sign.Candidate
	store   *blobstore.Store // what is known is kept there; nil for nowhere
	source  string           // where the signatures came from
	// rollback lets a signature count that is older than one that was accepted.
	rollback bool

	marks []blobstore.TrustMark
	fresh []blobstore.Verification
}

// judge holds the manifest to requirements. cache is the digest of the policy that they
// come from, "" for none.
func (t *trial) judge(ctx context.Context, reqs []sign.Requirement, cache oci.Digest) (sign.Verdict, error) {
	facts, err := t.facts(ctx, reqs, cache)
	if err != nil {
		return sign.Verdict{}, err
	}
	v := sign.Judge(t.name, t.subject, t.found, reqs, facts)
	if len(t.fresh) > 0 {
		if err := t.store.NoteVerifications(ctx, t.subject.Digest, cache, t.fresh...); err != nil {
			t.c.opts.Warn(fmt.Sprintf("what was verified of %s is not remembered: %v", t.subject.Digest, err))
		}
	}
	return v, nil
}

// facts are what the store knows.
func (t *trial) facts(ctx context.Context, reqs []sign.Requirement, cache oci.Digest) (f sign.Facts, err error) {
	if t.store == nil {
		return f, nil
	}
	rows, err := t.rows(ctx, reqs)
	if err != nil {
		return f, err
	}
	keys, err := t.store.TrustKeys(ctx)
	if err != nil {
		return f, err
	}
	if t.marks, err = t.store.TrustMarks(ctx, t.name); err != nil {
		return f, err
	}
	f.Limits = func(k *sign.PublicKey) sign.Limits { return limitsOf(keys, k.ID()) }
	f.Seen = func(c *sign.Candidate) time.Time {
		if row, ok := rows[idOf(c)]; ok {
			return row.FirstSeen
		}
		return time.Now()
	}
	if !t.rollback {
		f.Serial = t.serial
	}
	if cache != "" {
		f.Verifies, err = t.remembering(ctx, cache, rows)
	}
	return f, err
}

// serial is the highest that a key has signed another manifest for the name with.
func (t *trial) serial(k *sign.PublicKey) int64 {
	for _, m := range t.marks {
		if m.Key == k.ID() && m.Digest != t.subject.Digest {
			return m.Serial
		}
	}
	return 0
}

func limitsOf(keys []blobstore.TrustKey, id oci.Digest) sign.Limits {
	for _, k := range keys {
		if k.ID == id {
			return sign.Limits{NotBefore: k.NotBefore, NotAfter: k.NotAfter, Revoked: !k.RevokedAt.IsZero()}
		}
	}
	return sign.Limits{}
}

// signatureID tells signatures of one manifest apart.
type signatureID struct {
	kind string
	blob oci.Digest
	sig  string
}

func idOf(c *sign.Candidate) signatureID {
	return signatureID{string(c.Kind), c.Blob, string(c.Signature())}
}

// rows are the store's of what was found. What a key of reqs has made is noted there if
// that is possible; what strangers made is not, or they could fill the store up.
func (t *trial) rows(ctx context.Context, reqs []sign.Requirement) (map[signatureID]blobstore.Signature, error) {
	known, err := t.store.Signatures(ctx, t.subject.Digest)
	if err != nil {
		return nil, err
	}
	rows := map[signatureID]blobstore.Signature{}
	for _, s := range known {
		rows[signatureID{s.Kind, s.Blob, string(s.Sig)}] = s
	}
	var missing []blobstore.Signature
	for _, c := range t.found {
		if _, ok := rows[idOf(c)]; !ok && madeFor(c, reqs) {
			missing = append(missing, t.row(c))
		}
	}
	if len(missing) == 0 || t.store.ReadOnly() {
		return rows, nil
	}
	if known, err = t.store.NoteSignatures(ctx, t.subject.Digest, missing...); err != nil {
		return nil, err
	}
	for _, s := range known {
		rows[signatureID{s.Kind, s.Blob, string(s.Sig)}] = s
	}
	return rows, nil
}

// madeFor says whether a key of reqs made c.
func madeFor(c *sign.Candidate, reqs []sign.Requirement) bool {
	return slices.ContainsFunc(reqs, func(r sign.Requirement) bool {
		return slices.ContainsFunc(r.Keys, func(k *sign.PublicKey) bool { return sign.Verifies(c, k) })
	})
}

func (t *trial) row(c *sign.Candidate) blobstore.Signature {
	return blobstore.Signature{
		Subject: t.subject.Digest, Kind: string(c.Kind), Predicate: c.Predicate(), Blob: c.Blob, Manifest: c.Manifest,
		Sig: c.Signature(), Annotations: c.Claim.Annotations, KeyHint: c.Hint(), Identity: c.Claim.Identity, Source: t.source,
	}
}

// remembering verifies what nobody has verified under this policy yet.
func (t *trial) remembering(ctx context.Context, policy oci.Digest, rows map[signatureID]blobstore.Signature) (func(*sign.Candidate, *sign.PublicKey) bool, error) {
	known, err := t.store.Verifications(ctx, t.subject.Digest, policy)
	if err != nil {
		return nil, err
	}
	type pair struct {
		signature int64
		key       oci.Digest
	}
	outcomes := map[pair]bool{}
	for _, v := range known {
		outcomes[pair{v.Signature, v.Key}] = v.Made
	}
	return func(c *sign.Candidate, k *sign.PublicKey) bool {
		row, noted := rows[idOf(c)]
		if !noted {
			return sign.Verifies(c, k)
		}
		at := pair{row.ID, k.ID()}
		made, known := outcomes[at]
		if !known {
			made = sign.Verifies(c, k)
			outcomes[at] = made
			if !t.store.ReadOnly() {
				t.fresh = append(t.fresh, blobstore.Verification{Signature: row.ID, Key: k.ID(), Policy: policy, Made: made})
			}
		}
		return made
	}, nil
}

// maxAhead is by how much a signature may be from the future, to be believed. The
// store's clock goes by the latest that it believed, for the limits of all keys: one
// key is not to end all others.
const maxAhead = 24 * time.Hour

// accepted are the marks that the store is to keep once the name stands for the
// manifest: of each key that counts, the serial.
func (t *trial) accepted(v sign.Verdict) (marks []blobstore.TrustMark) {
	if t.name == (oci.Reference{}) || t.name.Digest != "" {
		return nil // a digest cannot be rolled back
	}
	now := time.Now().UTC()
	for _, o := range v.Counting() {
		claim := o.Candidate.Claim
		if claim.Serial == 0 {
			continue
		}
		m := blobstore.TrustMark{Name: t.name.String(), Key: o.Key.ID(), Serial: claim.Serial, Digest: t.subject.Digest, At: now, Lower: t.rollback}
		if claim.Created.After(now) && claim.Created.Before(now.Add(maxAhead)) {
			m.At = claim.Created
		}
		marks = t.raise(marks, m)
	}
	return marks
}

// raise adds m to marks, unless there is a higher one of its key, there or in the
// store.
func (t *trial) raise(marks []blobstore.TrustMark, m blobstore.TrustMark) []blobstore.TrustMark {
	for _, old := range t.marks {
		if old.Key == m.Key && old.Digest == m.Digest && old.Serial >= m.Serial {
			return marks
		}
	}
	for i, other := range marks {
		if other.Key == m.Key {
			marks[i].Serial = max(other.Serial, m.Serial)
			return marks
		}
	}
	return append(marks, m)
}
