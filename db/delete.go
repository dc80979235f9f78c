package db

import (
	"cmp"
	"slices"

	"dist.example/oci"
)

// Holder is what speaks against deleting an object. Exactly one of Name, Lease
// and Parent is set.
type Holder struct {
	Object Object // the member of the set that is held
	Via    Object // where the chain that holds it starts; Object itself when it is held directly
	Name   string // a name on Via
	Lease  Lease  // a lease on Via
	// Parent says that Via is outside of the set, holds Object, and is itself held
	// by nothing: no name, no lease, no other object.
	Parent bool
}

// Judgement is the verdict on a set of objects that are to be deleted together.
type Judgement struct {
	// Members are the rows of the set that are held, damaged ones too, by id. What
	// is absent or doomed already is left out.
	Members []Object
	// Names are those on members; they go with the set.
	Names []Ref
	// Holders speak against it; empty when the set may go. By name, leases after
	// names, parents at the end.
	Holders []Holder
}

// Judge finds out what holds a set of objects. A chain runs from a holder to what
// it holds: from parent to config, layer and manifest, and from subject to
// referrer. Everything upwards of the set is looked at: a name counts unless it
// is on a member; a lease counts if lease says so; a parent that nothing holds
// counts unless it is a member.
func (tx *Tx) Judge(ids []int64, lease func(Lease) bool) (Judgement, error) {
	rows, err := tx.ObjectsByID(ids)
	if err != nil {
		return Judgement{}, err
	}
	j := judge{tx: tx, members: map[int64]bool{}, seen: map[int64]ancestor{}}
	for _, o := range rows {
		if o.Loc != LocAbsent && o.Loc != LocDoomed {
			j.verdict.Members = append(j.verdict.Members, o)
			j.members[o.ID] = true
		}
	}
	slices.SortFunc(j.verdict.Members, func(a, b Object) int { return cmp.Compare(a.ID, b.ID) })
	for _, o := range j.verdict.Members {
		j.meet(o, o)
	}
	if err := j.climb(); err != nil {
		return Judgement{}, err
	}
	if err := j.findNames(); err != nil {
		return Judgement{}, err
	}
	if err := j.findLeases(lease); err != nil {
		return Judgement{}, err
	}
	j.findParents()
	return j.verdict, nil
}

// judge is the state of Judge.
type judge struct {
	tx       *Tx
	members  map[int64]bool
	seen     map[int64]ancestor
	order    []int64 // of seen
	frontier []int64
	verdict  Judgement
}

// ancestor is an object in a chain that leads to a member.
type ancestor struct {
	Object
	member Object
	held   bool // by another object
}

func (j *judge) meet(o, member Object) {
	if _, ok := j.seen[o.ID]; ok {
		return
	}
	j.seen[o.ID] = ancestor{Object: o, member: member}
	j.order = append(j.order, o.ID)
	j.frontier = append(j.frontier, o.ID)
}

// What is held by an edge, and its holder's row; the list of the held follows.
const (
	selectHolders = `SELECT e.child, ` + objectColumns + ` FROM edges e JOIN objects o ON o.id = e.parent
		LEFT JOIN media_types m ON m.id = o.media WHERE o.loc NOT IN ` + unheld + ` AND e.role IN (1, 2, 3) AND e.child IN `
	selectSubjects = `SELECT e.parent, ` + objectColumns + ` FROM edges e JOIN objects o ON o.id = e.child
		LEFT JOIN media_types m ON m.id = o.media WHERE o.loc NOT IN ` + unheld + ` AND e.role = 4 AND e.parent IN `
)

// climb follows all chains to their start.
func (j *judge) climb() error {
	for len(j.frontier) > 0 {
		ids := j.frontier
		j.frontier = nil
		for _, query := range []string{selectHolders, selectSubjects} {
			if err := j.holdersOf(ids, query); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdersOf meets the objects that hold those of ids. query yields the held id
// and the holder's row.
func (j *judge) holdersOf(ids []int64, query string) error {
	return inChunks(idArgs(ids), func(args []any, list string) error {
		var (
			below int64
			s     objectScan
		)
		dest := s.dest(&below)
		return j.tx.each(query+`(`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			if err := scan(dest...); err != nil {
				return false, err
			}
			o, err := s.object()
			if err != nil {
				return false, err
			}
			held := j.seen[below]
			held.held = true
			j.seen[below] = held
			j.meet(o, held.member)
			return true, nil
		})
	})
}

func (j *judge) findNames() error {
	refs, err := j.tx.RefsOf(j.order)
	if err != nil {
		return err
	}
	slices.SortFunc(refs, func(a, b Ref) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range refs {
		if j.members[r.Object.ID] {
			j.verdict.Names = append(j.verdict.Names, r)
			continue
		}
		j.verdict.Holders = append(j.verdict.Holders, Holder{Object: j.seen[r.Object.ID].member, Via: r.Object, Name: r.Name})
	}
	return nil
}

func (j *judge) findLeases(counts func(Lease) bool) error {
	for l, err := range j.tx.Leases() {
		if err != nil {
			return err
		}
		if !counts(l) {
			continue
		}
		held, err := j.tx.LeaseObjects(l.ID)
		if err != nil {
			return err
		}
		for _, id := range held {
			if a, ok := j.seen[id]; ok {
				j.verdict.Holders = append(j.verdict.Holders, Holder{Object: a.member, Via: a.Object, Lease: l})
			}
		}
	}
	return nil
}

// findParents lists the starts of chains that are neither members nor, by name
// or lease, holders already.
func (j *judge) findParents() {
	rooted := map[int64]bool{}
	for _, h := range j.verdict.Holders {
		rooted[h.Via.ID] = true
	}
	for _, id := range j.order {
		if a := j.seen[id]; !a.held && !j.members[id] && !rooted[id] {
			j.verdict.Holders = append(j.verdict.Holders, Holder{Object: a.member, Via: a.Object, Parent: true})
		}
	}
}

// holds says which end of an edge keeps the other: the parent its child, except
// that a subject keeps its referrer.
func (e Edge) holds() (holder, held int64) {
	if e.Role == oci.RoleSubject {
		return e.Child, e.Parent
	}
	return e.Parent, e.Child
}
