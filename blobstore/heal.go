package blobstore

import (
	"cmp"
	"context"
	"slices"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// Healer brings a damaged blob again. It may read nothing of the store but with
// AsItIs, and returns nil when the blob is right.
type Healer func(ctx context.Context, d oci.Digest) error

// HealWith lets readers that meet damage before they have given out a byte have it
// healed, and go on: whoever reads a packed blob or a manifest, or a blob that is
// known to be damaged. nil ends that. A reader may still meet damage later.
func (s *Store) HealWith(h Healer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healer = h
}

// healed says whether somebody has healed d.
func (s *Store) healed(ctx context.Context, d oci.Digest) bool {
	s.mu.Lock()
	h := s.healer
	s.mu.Unlock()
	return h != nil && !s.readOnly && Heals(ctx) && h(AsItIs(ctx), d) == nil
}

type asItIs struct{}

// AsItIs is a context for reading without healing.
func AsItIs(ctx context.Context) context.Context { return context.WithValue(ctx, asItIs{}, true) }

// Heals says whether damage that is met under ctx may be healed: not under AsItIs.
func Heals(ctx context.Context) bool { return ctx.Value(asItIs{}) == nil }

// Lack is an object that is damaged, or missing where something reaches it.
type Lack struct {
	content.Info
	Place string   // "pack 3", "loose" or "absent"
	Names []string // that reach it, a few of them
}

// Lacking lists what is known to be damaged, and what is missing that names reach, by
// digest. With roots it is what these lack of themselves and of what they reach.
func (s *Store) Lacking(ctx context.Context, roots ...oci.Digest) (lacking []Lack, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		found := map[int64]db.Object{}
		if len(roots) > 0 {
			err = lackingBelow(tx, roots, found)
		} else {
			err = lackingAnywhere(tx, found)
		}
		if err != nil {
			return err
		}
		for _, o := range found {
			l, err := lackOf(tx, o)
			if err != nil {
				return err
			}
			lacking = append(lacking, l)
		}
		return nil
	})
	slices.SortFunc(lacking, func(a, b Lack) int { return cmp.Compare(a.Digest, b.Digest) })
	return lacking, err
}

// LackOf is what Lacking says of one object, at the cost of one. What is neither damaged
// nor missing is told of all the same; false is for what nobody knows.
func (s *Store) LackOf(ctx context.Context, d oci.Digest) (l Lack, known bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(d)
		if known = found; !found || err != nil {
			return err
		}
		l, err = lackOf(tx, o)
		return err
	})
	return l, known, err
}

func lackOf(tx *db.Tx, o db.Object) (Lack, error) {
	names, err := tx.NamesAbove(o.ID, damageNames)
	slices.Sort(names)
	return Lack{infoOf(o), placeOf(o), names}, err
}

func lackingBelow(tx *db.Tx, roots []oci.Digest, found map[int64]db.Object) error {
	rows, err := tx.Objects(roots)
	if err != nil {
		return err
	}
	var ids []int64
	among := map[int64]bool{}
	for _, o := range rows {
		ids = append(ids, o.ID)
		among[o.ID] = true
	}
	if err := lackingOf(tx, ids, found); err != nil {
		return err
	}
	damaged, err := tx.Damaged()
	for _, o := range damaged { // the images of an index, too
		below, berr := tx.IsBelow(o.ID, among)
		if berr != nil {
			return berr
		}
		if below {
			found[o.ID] = o
		}
	}
	return err
}

func lackingOf(tx *db.Tx, ids []int64, found map[int64]db.Object) error {
	_, missing, err := tx.Reach(ids)
	for _, o := range missing {
		found[o.ID] = o
	}
	return err
}

func lackingAnywhere(tx *db.Tx, found map[int64]db.Object) error {
	refs, err := tx.RefTargets()
	if err != nil {
		return err
	}
	ids := make([]int64, len(refs))
	for i, r := range refs {
		ids[i] = r.Object
	}
	slices.Sort(ids)
	if err := lackingOf(tx, slices.Compact(ids), found); err != nil {
		return err
	}
	damaged, err := tx.Damaged()
	for _, o := range damaged {
		found[o.ID] = o
	}
	return err
}
