package client

import (
	"context"
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
