package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// standing finds out what the names stand for now.
func (im *imports) standing(ctx context.Context) error {
	for _, i := range im.images {
		if i.old = ""; im.store == nil || i.name == (oci.Reference{}) {
			continue
		}
		n, err := im.store.Name(ctx, i.name)
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			return err
		}
		i.old = n.Target.Digest
	}
	return nil
}

// unmoved refuses to move names that stand for something else, where nobody vouches for
// what comes. Errors: ErrConflict.
func (im *imports) unmoved() error {
	var moved []string
	for _, i := range im.images {
		if i.old != "" && i.old != i.Target.Digest && len(i.admitted.vouchers) == 0 && !im.o.Replace {
			moved = append(moved, fmt.Sprintf("%s (%s, and no more %s)", i.name, oci.ShortDigest(i.Target.Digest), oci.ShortDigest(i.old)))
		}
	}
	if len(moved) == 0 {
		return nil
	}
	return content.WithHint(fmt.Errorf("import %s: %w: names would stand for something else: %s", im.places[0], errStands, fewOf(moved)),
		"--replace moves names, and --map OLD=NEW gives others")
}

// errStands is for names that stand for something else and may not be moved.
var errStands = fmt.Errorf("%w", content.ErrConflict)

// fewOf lists some of many words.
func fewOf(words []string) string {
	const few = 5
	if len(words) <= few {
		return joined(words)
	}
	return fmt.Sprintf("%s and %d more", joined(words[:few]), len(words)-few)
}

// admitAll holds the images to the policy: under the name that the bundle gives them, and
// what the policy wants of the name that they get, too.
func (im *imports) admitAll(ctx context.Context) error {
	for _, i := range im.images {
		if i.name == (oci.Reference{}) {
			if err := im.admitNameless(i); err != nil {
				return err
			}
			continue
		}
		asked := i.Name
		if asked == (oci.Reference{}) {
			asked = i.name
		}
		a := admission{name: asked.Local(), desc: i.Target, src: im.in, store: im.store, rollback: im.o.AllowRollback}
		for _, under := range []oci.Reference{asked.Local(), i.name.Local()} {
			a.under = under
			out, err := im.c.admit(ctx, a)
			if err != nil {
				return fmt.Errorf("import %s: %w", i.name, err)
			}
			i.admitted.add(out)
		}
	}
	return nil
}

// admitNameless refuses an image without a name where the policy asks something of every
// name: signatures are for names, and a name that is given later is not asked about.
func (im *imports) admitNameless(i *imported) error {
	_, demanding, err := im.c.demands(oci.Reference{})
	if err != nil || !demanding {
		return err
	}
	return content.WithHint(fmt.Errorf("import %s: %w: it has no name, and the policy wants signatures for all that it does not speak of", i.Label(), content.ErrUntrusted),
		"--map @%s=NAME gives it one, for which it is judged", i.Target.Digest)
}

// add takes what another admission of the same image came to.
func (a *admitted) add(b admitted) {
	for _, m := range b.marks {
		if !slices.Contains(a.marks, m) {
			a.marks = append(a.marks, m)
		}
	}
	for _, v := range b.vouchers {
		if !slices.Contains(a.vouchers, v) {
			a.vouchers = append(a.vouchers, v)
		}
	}
}
