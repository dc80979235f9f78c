package client

import (
	"context"
	"errors"
	"fmt"

	"dist.example/content"
)

// signer opens the key that is to sign, before anything is made; nil for none.
func (p *packing) signer(ctx context.Context) (*signing, error) {
	if err := p.o.Sign.check(); err != nil {
		return nil, err
	}
	key, err := p.c.signer(ctx, p.o.Sign.Key, p.o.Sign.Passphrase)
	if err != nil {
		return nil, err
	}
	if key == nil {
		if p.o.RequireKey {
			return nil, content.WithHint(fmt.Errorf("%w: no key signs it: none is named, and none is called %s", content.ErrUntrusted, DefaultKey),
				"`dist key generate` makes one; -k KEY or DIST_KEY names another")
		}
		return nil, nil
	}
	return &signing{c: p.c, o: p.o.Sign, signer: key, identity: p.ref}, nil
}

// finish signs what was made, where a key does that, and lets its name stand for it, in
// one transaction.
func (p *packing) finish(ctx context.Context, j *signing, out *Packed, change content.NameChange) error {
	change.Target = out.Descriptor.Digest
	changes := []content.NameChange{change}
	if j != nil {
		names, err := p.sign(ctx, j, out)
		if err != nil {
			return err
		}
		changes = append(changes, names...)
	}
	if err := p.ses.Commit(ctx, changes...); err != nil {
		if errors.Is(err, content.ErrConflict) {
			err = content.WithHint(err, "run it again: it begins with what the name stands for now")
		}
		return err
	}
	if j != nil {
		p.c.noteSignatures(ctx, p.s, p.ref, out.Descriptor.Digest)
	}
	return nil
}

// sign makes the signatures of what was packed, in its session, and says which names
// they get.
func (p *packing) sign(ctx context.Context, j *signing, out *Packed) ([]content.NameChange, error) {
	j.p = place{src: p.ses, store: p.s, name: p.ref, desc: out.Descriptor}
	if err := j.prepare(ctx, out.Descriptor, p.ref.String()); err != nil {
		return nil, err
	}
	names := newAttachedNames(p.s)
	if err := j.into(ctx, p.ses, names); err != nil {
		return nil, err
	}
	p.ses.Trust(j.marks...)
	out.Signed = &j.signed[0]
	return names.changes("sign"), nil
}
