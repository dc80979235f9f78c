package sign

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Reason is why a signature does not count.
type Reason string

// The reasons, each for one kind of fault.
const (
	ReasonUnreadable     Reason = "unreadable"      // it could not be got
	ReasonMalformed      Reason = "malformed"       // it is not what it should be
	ReasonUnsigned       Reason = "no-signature"    // a payload or an envelope without one
	ReasonUnsupported    Reason = "unsupported"     // of a kind that is not judged here
	ReasonOtherPredicate Reason = "other-statement" // an attestation of something else
	ReasonStranger       Reason = "unknown-key"     // no trusted key made it
	ReasonForged         Reason = "bad-signature"   // it names a trusted key, and that did not make it
	ReasonOtherDigest    Reason = "other-digest"    // of another manifest
	ReasonOtherName      Reason = "other-name"      // for another name
	ReasonUnbound        Reason = "no-name"         // for no name at all
	ReasonRevoked        Reason = "key-revoked"     // its key counts no more
	ReasonExpired        Reason = "key-expired"     // seen outside of the time in which its key counts
	ReasonNoRule         Reason = "no-rule"         // nobody asks for a signature
	ReasonOlder          Reason = "older"           // a newer one was seen for the name
)

// Outcome is what became of one candidate under one requirement.
type Outcome struct {
	Candidate *Candidate
	Key       *PublicKey // that made it, nil when none is known
	Reason    Reason     // "" when it counts
	Detail    string     // for people
}

// Met is what became of one requirement.
type Met struct {
	Requirement Requirement
	Met         bool
	Outcomes    []Outcome // of SignedBy, one for each candidate, in their order
}

// Verdict is what a policy says of one manifest under one name.
type Verdict struct {
	Scope    string // of the policy
	Accepted bool
	// Verified: accepted because keys vouch for it, and not because anything is.
	Verified bool
	Met      []Met
}

// Facts are what is known besides the signatures themselves. The zero value knows
// nothing.
type Facts struct {
	// Verifies replaces the computation, by a cache for example.
	Verifies func(c *Candidate, k *PublicKey) bool
	// Limits are those of a key; the zero Limits where it has none.
	Limits func(k *PublicKey) Limits
	// Seen is when a candidate was first seen, which its maker cannot choose; the zero
	// time for now.
	Seen func(c *Candidate) time.Time
	// Serial is the highest that was seen of a key for the name, on another manifest
	// than this one; less is ReasonOlder. A signature without a serial is judged
	// without.
	Serial func(k *PublicKey) int64
}

// Limits say when a key counts.
type Limits struct {
	NotBefore, NotAfter time.Time // zero for none
	Revoked             bool
}

// Judge holds a manifest, by the name that was asked for and the signatures that were
// found, to requirements: all of them have to be met. Nothing is accepted by an empty
// list.
func Judge(name oci.Reference, subject Subject, candidates []*Candidate, reqs []Requirement, f Facts) Verdict {
	v := Verdict{Accepted: len(reqs) > 0}
	for _, req := range reqs {
		m := Met{Requirement: req, Met: req.Type == AcceptAnything}
		if req.Type == SignedBy {
			for _, c := range candidates {
				o := f.judge(name, subject, c, req)
				m.Outcomes = append(m.Outcomes, o)
				m.Met = m.Met || o.Reason == ""
			}
			v.Verified = v.Verified || m.Met
		}
		v.Accepted = v.Accepted && m.Met
		v.Met = append(v.Met, m)
	}
	v.Verified = v.Verified && v.Accepted
	return v
}

// Judge is the function Judge with the requirements that p has for name.
func (p *Policy) Judge(name oci.Reference, subject Subject, candidates []*Candidate, f Facts) Verdict {
	scope, reqs := p.For(name)
	v := Judge(name, subject, candidates, reqs, f)
	v.Scope = scope
	return v
}

func (f Facts) judge(name oci.Reference, subject Subject, c *Candidate, req Requirement) Outcome {
	o := Outcome{Candidate: c, Reason: c.Fault, Detail: c.Detail}
	if o.Reason != "" {
		return o
	}
	if o.Key = f.maker(c, req.Keys); o.Key == nil {
		o.Reason, o.Detail = ReasonStranger, "none of the trusted keys made it"
		for _, k := range req.Keys {
			if k.hint() == c.Claim.hint {
				o.Reason, o.Detail = ReasonForged, fmt.Sprintf("it names the trusted key %s, which did not sign this", oci.ShortDigest(k.ID()))
			}
		}
		return o
	}
	o.Reason, o.Detail = f.weigh(name, subject, c, o.Key, req.Identity)
	return o
}

// maker is the key that made c, nil for none of them. The one that c names is tried
// first.
func (f Facts) maker(c *Candidate, keys []*PublicKey) *PublicKey {
	verifies := f.Verifies
	if verifies == nil {
		verifies = Verifies
	}
	for _, hinted := range []bool{true, false} {
		for _, k := range keys {
			if (c.Claim.hint == k.hint()) == hinted && verifies(c, k) {
				return k
			}
		}
	}
	return nil
}

// Verifies says whether k made the signature c, whatever it says.
func Verifies(c *Candidate, k *PublicKey) bool {
	return c.Fault == "" && len(c.sig) > 0 && k.verifies(c.sig, c.message)
}

// weigh judges what an authentic signature says.
func (f Facts) weigh(name oci.Reference, subject Subject, c *Candidate, k *PublicKey, rule IdentityRule) (Reason, string) {
	var limits Limits
	if f.Limits != nil {
		limits = f.Limits(k)
	}
	var seen time.Time
	if f.Seen != nil {
		seen = f.Seen(c)
	}
	if seen.IsZero() {
		seen = time.Now()
	}
	switch {
	case !subject.is(c.Claim.Digests):
		return ReasonOtherDigest, "it signs " + c.Claim.signedDigest()
	case name.Digest != "" && !subject.is(map[string]string{name.Digest.Algorithm().String(): name.Digest.Encoded()}):
		return ReasonOtherDigest, fmt.Sprintf("this is %s, and %s was asked for", subject.Digest, name)
	case c.Claim.Identity == "" && rule.Type != Unbound:
		return ReasonUnbound, "it names no image; a rule with signedIdentity unbound would take it"
	case !rule.takes(name, c.Claim.Identity):
		return ReasonOtherName, fmt.Sprintf("it is for %s, and %s was asked for (%s)", c.Claim.signedName(), name, rule)
	case limits.Revoked:
		return ReasonRevoked, "its key is revoked here"
	case !limits.NotBefore.IsZero() && seen.Before(limits.NotBefore):
		return ReasonExpired, "its key counts from " + limits.NotBefore.UTC().Format(time.RFC3339) + " on"
	case !limits.NotAfter.IsZero() && seen.After(limits.NotAfter):
		return ReasonExpired, "its key counted until " + limits.NotAfter.UTC().Format(time.RFC3339)
	}
	if f.Serial != nil && c.Claim.Serial > 0 {
		if last := f.Serial(k); c.Claim.Serial < last {
			return ReasonOlder, fmt.Sprintf("its serial is %d, and the key has signed another %s for this name with %d", c.Claim.Serial, c.Kind.about(), last)
		}
	}
	return "", ""
}

// signedDigest is what the claim is about, for people.
func (c Claim) signedDigest() string {
	algs := sortedKeys(c.Digests)
	if len(algs) == 0 {
		return "nothing"
	}
	text := algs[0] + ":" + c.Digests[algs[0]]
	if _, err := oci.ParseDigest(text); err != nil {
		return fmt.Sprintf("%.160q", text)
	}
	return text
}

// signedName is who the claim is for, for people.
func (c Claim) signedName() string {
	if _, err := ParseIdentity(c.Identity); err != nil {
		return fmt.Sprintf("%.160q", c.Identity)
	}
	return c.Identity
}

// Counting lists the outcomes that count, each candidate once.
func (v Verdict) Counting() []Outcome {
	return v.pick(func(o Outcome) bool { return o.Reason == "" })
}

// Others lists the outcomes of candidates that count under no requirement, each once.
func (v Verdict) Others() []Outcome {
	counting := map[*Candidate]bool{}
	for _, o := range v.Counting() {
		counting[o.Candidate] = true
	}
	return v.pick(func(o Outcome) bool { return !counting[o.Candidate] })
}

func (v Verdict) pick(keep func(Outcome) bool) (picked []Outcome) {
	seen := map[*Candidate]bool{}
	for _, m := range v.Met {
		for _, o := range m.Outcomes {
			if !seen[o.Candidate] && keep(o) {
				seen[o.Candidate] = true
				picked = append(picked, o)
			}
		}
	}
	return picked
}

// Err is nil for what is accepted, else content.ErrUntrusted with what speaks against
// it.
func (v Verdict) Err() error {
	if v.Accepted {
		return nil
	}
	where := ""
	if v.Scope != "" {
		where = fmt.Sprintf(" (scope %s)", v.Scope)
	}
	for _, m := range v.Met {
		if m.Met {
			continue
		}
		if m.Requirement.Type == RejectAll {
			return content.WithHint(fmt.Errorf("%w: the policy rejects it%s", content.ErrUntrusted, where),
				"`dist trust show` prints the policy; `dist trust add KEY --scope SCOPE` lets those in that a key signs")
		}
		return m.err(where)
	}
	return fmt.Errorf("%w: no policy says anything", content.ErrUntrusted)
}

func (m Met) err(where string) error {
	if len(m.Outcomes) == 0 {
		return content.WithHint(fmt.Errorf("%w: it is not signed%s", content.ErrUntrusted, where), "`dist sign` signs it, with a key that the policy names")
	}
	first := slices.MinFunc(m.Outcomes, func(a, b Outcome) int { return cmp.Compare(a.rank(), b.rank()) })
	err := fmt.Errorf("%w: none of %d signatures counts%s: %s: %s", content.ErrUntrusted, len(m.Outcomes), where, first.Reason, first.Detail)
	if len(m.Outcomes) == 1 {
		err = fmt.Errorf("%w: its signature does not count%s: %s: %s", content.ErrUntrusted, where, first.Reason, first.Detail)
	}
	if first.Reason == ReasonOtherName {
		err = content.WithHint(err, "`dist sign --identity NAME` signs it for the name that is asked for, too; other rules for names: `dist trust add --help`")
	}
	return err
}

// rank orders the reasons by how much they say about what was asked for: what a trusted
// key has signed for that name, for another, and what strangers added.
func (o Outcome) rank() int {
	switch {
	case o.Key == nil && o.Reason != ReasonForged:
		return 3
	case o.Key == nil:
		return 2
	case o.Reason == ReasonOtherName || o.Reason == ReasonUnbound:
		return 1
	}
	return 0
}
