package gc

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// evictions is how often names are given up before somebody else is taken to use the
// room as soon as it is there.
const evictions = 3

// EvictOptions direct an eviction.
type EvictOptions struct {
	Options
	// Lack says how many bytes are lacking at that moment, 0 or less for none.
	Lack func(ctx context.Context) (int64, error)
	// Spare are names that do not go, whatever the time of their use.
	Spare []oci.Reference
	// Partly gives up names also where that is not enough.
	Partly bool
}

// EvictedName is a name that is given up to make room.
type EvictedName struct {
	content.Name
	LastUsed time.Time // or made
	Frees    int64     // bytes that come back with it, once the ones before it are gone
}

// PlanEviction finds the names that give back lack bytes: those not used for longest,
// but for pinned ones, and with an image what is about it by its tag. A name whose
// content something else keeps (another name, a lease, history, the grace) does not
// go. frees is what they give back: where all of them are not enough, less than lack.
// What is in packs counts with the name that lets its pack be emptied by a collection
// that compacts, which is taken to have been done for the garbage that is there.
//
// Errors: those of reading the catalog; the cause of ctx.
func PlanEviction(ctx context.Context, s *blobstore.Store, o EvictOptions, lack int64) (names []EvictedName, frees int64, err error) {
	byRef := map[string]content.Name{}
	for n, err := range s.Names(ctx, "") {
		if err != nil {
			return nil, 0, err
		}
		byRef[n.Reference.String()] = n
	}
	err = s.View(ctx, func(tx *db.Tx) error {
		o.Compact = true
		e := &evicting{o: o.Options, spare: map[string]bool{}, attached: map[int64][]int64{}}
		for _, ref := range o.Spare {
			e.spare[ref.Local().String()] = true
		}
		if err := e.read(tx, o.rules(s)); err != nil {
			return err
		}
		var chosen []*held
		if chosen, frees, err = e.choose(tx, lack); err != nil {
			return err
		}
		for _, h := range chosen {
			// One that came or moved between the two readings is in use.
			if n, ok := byRef[h.ref.Name]; ok && n.Seq == h.ref.Seq {
				names = append(names, EvictedName{n, h.last, h.frees})
			} else {
				frees -= h.frees
			}
		}
		return nil
	})
	return names, frees, err
}

// held is a name and what it alone keeps.
type held struct {
	ref     db.Ref
	last    time.Time
	subject int64 // of an attachment: what it is about
	alone   bytes // what goes with it, and not with those before it
	frees   int64
}

// evicting finds out which names are to go.
type evicting struct {
	o        Options
	spare    map[string]bool
	graph    *graph
	kept     []int64 // held by something other than names that may go
	names    []*held // that may go, the last used first
	about    []*held // attachments, which go with their subjects
	attached map[int64][]int64
	marked   bits
}

func (e *evicting) read(tx *db.Tx, r rules) (err error) {
	if e.graph, err = r.readGraph(tx); err != nil {
		return err
	}
	found, err := r.readRoots(tx, e.graph)
	if err != nil {
		return err
	}
	e.kept = slices.Concat(found[ByLease], found[ByHistory], found[ByGrace])
	var all []*held
	for ref, err := range tx.Refs("") {
		switch {
		case err != nil:
			return err
		case ref.Pinned || e.spare[ref.Name]:
			e.kept = append(e.kept, ref.Object.ID)
		default:
			all = append(all, &held{ref: ref, last: ref.LastUsed()})
		}
	}
	if err := e.sort(tx, all); err != nil {
		return err
	}
	slices.SortFunc(e.names, func(a, b *held) int {
		return cmp.Or(b.last.Compare(a.last), cmp.Compare(b.ref.Seq, a.ref.Seq))
	})
	return nil
}

// sort tells attachments of what is here from all other names.
func (e *evicting) sort(tx *db.Tx, all []*held) error {
	subjects := make([]oci.Digest, len(all))
	for i, h := range all {
		if ref, err := oci.ParseReference(h.ref.Name); err == nil {
			subjects[i], _, _ = oci.ParseAttachmentTag(ref.Tag)
		}
	}
	rows, err := tx.Objects(slices.DeleteFunc(slices.Clone(subjects), func(d oci.Digest) bool { return d == "" }))
	if err != nil {
		return err
	}
	for i, h := range all {
		if row, ok := rows[subjects[i]]; ok && row.Loc.Held() {
			h.subject = row.ID
			e.about = append(e.about, h)
			e.attached[row.ID] = append(e.attached[row.ID], h.ref.Object.ID)
		} else {
			e.names = append(e.names, h)
		}
	}
	return nil
}

// choose finds the names that give back lack bytes, or all that it takes to give back
// as much as can be.
func (e *evicting) choose(tx *db.Tx, lack int64) (chosen []*held, frees int64, err error) {
	e.strays()
	rows, err := packRows(tx)
	if err != nil {
		return nil, 0, err
	}
	for {
		packs := e.emptying(rows)
		first, freed := e.oldest(packs, lack)
		e.markStaying(first)
		idle := e.idle(packs, e.names[first:])
		if len(idle) == 0 {
			return e.goes(first), freed, nil
		}
		for h := range idle {
			e.kept = append(e.kept, h.ref.Object.ID)
		}
		e.names = slices.DeleteFunc(e.names, func(h *held) bool { return idle[h] })
	}
}

// idle are those of the names which are to go that would go for nothing: they give
// nothing back, no pack with their content is emptied, and they share nothing with
// others that go.
func (e *evicting) idle(packs *emptying, names []*held) map[*held]bool {
	idle := map[*held]bool{}
	for _, h := range names {
		if h.frees > 0 || len(h.alone.packed) == 0 {
			continue
		}
		empties := false
		for id := range h.alone.packed {
			empties = empties || packs.comesBack(packs.packs[id]) > 0
		}
		if !empties && maps.Equal(e.beyond(h.ref.Object.ID).packed, h.alone.packed) {
			idle[h] = true
		}
	}
	return idle
}

// emptying marks what is kept and what names keep, and what each alone does, and finds
// what the packs have once the rest is given up.
func (e *evicting) emptying(rows map[int64]db.Pack) *emptying {
	e.marked = newBits(e.graph.top)
	e.mark(e.kept...)
	for _, h := range e.names {
		h.alone = e.mark(h.ref.Object.ID)
	}
	return e.packs(rows)
}

// oldest finds the first of the names that, with all after it, give back lack bytes.
func (e *evicting) oldest(packs *emptying, lack int64) (first int, frees int64) {
	first = len(e.names)
	for i, h := range slices.Backward(e.names) {
		if frees >= lack {
			break
		}
		if h.frees = packs.giveUp(h.alone); h.frees > 0 {
			first = i
		}
		frees += h.frees
	}
	return first, frees
}

// markStaying marks what stays if the names from first on go.
func (e *evicting) markStaying(first int) {
	e.marked = newBits(e.graph.top)
	e.mark(e.kept...)
	for _, h := range e.names[:first] {
		e.mark(h.ref.Object.ID)
	}
}

// goes lists what goes with the names from first on, beside what is marked.
func (e *evicting) goes(first int) (chosen []*held) {
	for _, h := range slices.Backward(e.names[first:]) {
		if !e.marked.get(h.ref.Object.ID) { // else something that stays keeps it
			chosen = append(chosen, h)
		}
	}
	for _, h := range e.about {
		if !e.marked.get(h.subject) {
			chosen = append(chosen, h)
		}
	}
	return chosen
}

// strays keeps attachments of what no name keeps: they wait until that is collected.
func (e *evicting) strays() {
	e.markStaying(len(e.names))
	e.about = slices.DeleteFunc(e.about, func(h *held) bool {
		stray := !e.marked.get(h.subject)
		if stray {
			e.kept = append(e.kept, h.ref.Object.ID)
		}
		return stray
	})
}

// mark marks what ids reach, attachments included, and says what is newly marked.
func (e *evicting) mark(ids ...int64) (fresh bytes) {
	e.walk(func(id int64) { fresh.add(e.object(id)) }, ids...)
	return fresh
}

// beyond is what mark would mark.
func (e *evicting) beyond(id int64) (fresh bytes) {
	var marked []int64
	e.walk(func(id int64) { marked = append(marked, id) }, id)
	for _, id := range marked {
		e.marked.clear(id)
		fresh.add(e.object(id))
	}
	return fresh
}

func (e *evicting) walk(visit func(id int64), ids ...int64) {
	for len(ids) > 0 {
		var more []int64
		e.graph.reach(e.marked, func(id int64) {
			visit(id)
			more = append(more, e.attached[id]...)
		}, ids...)
		ids = more
	}
}

func (e *evicting) object(id int64) db.GraphObject {
	objects := e.graph.objects
	i := sort.Search(len(objects), func(i int) bool { return objects[i].ID >= id })
	if i == len(objects) || objects[i].ID != id {
		return db.GraphObject{}
	}
	return objects[i]
}

// Evict collects garbage, and where bytes are lacking still, gives up names and
// collects again. Unless Partly is set no name goes if that would not be enough. The
// names that went are in the report; whether enough has come back is for Lack to say.
// What cannot be removed keeps nothing else from going: it is the error at the end.
//
// Errors: those of Run and PlanEviction, and of Lack.
func Evict(ctx context.Context, s *blobstore.Store, o EvictOptions) (Report, error) {
	m, err := s.Maintain(ctx)
	if err != nil {
		return Report{}, err
	}
	defer m.Close()
	var (
		all    Report
		failed []error
	)
	o.Options = o.started()
	round := func() error {
		report, stayed, err := collect(ctx, s, m, o.Options)
		all.add(report)
		failed = stayed // what went after all in a later round is no failure
		return err
	}
	for rounds := 0; ; {
		if err := round(); err != nil || all.Unfinished {
			return all, errors.Join(append(failed, err)...)
		}
		lack, err := o.Lack(ctx)
		if err != nil || lack <= 0 {
			return all, errors.Join(append(failed, err)...)
		}
		dropped, err := dropSnapshots(ctx, m, &all, lack)
		if err != nil {
			return all, errors.Join(append(failed, err)...)
		}
		if dropped {
			continue
		}
		if !o.Compact { // before a name goes
			o.Compact = true
			continue
		}
		names, err := evictSome(ctx, s, m, o, lack)
		all.Evicted = append(all.Evicted, names...)
		if rounds++; err != nil || len(names) == 0 || rounds == evictions {
			if err == nil && len(names) > 0 {
				err = round()
			}
			return all, errors.Join(append(failed, err)...)
		}
	}
}

// dropSnapshots gives up layers that are kept unpacked, the one first that was not used for
// longest, and says whether any went.
func dropSnapshots(ctx context.Context, m *blobstore.Maintenance, all *Report, lack int64) (dropped bool, err error) {
	idle := all.Plan.Idle
	for len(idle) > 0 && lack > 0 && err == nil {
		var gone bool
		g := idle[0]
		idle = idle[1:]
		if gone, err = m.Remove(ctx, g); gone {
			dropped = true
			lack -= g.Bytes
			all.add(Report{Files: []blobstore.Waste{{Kind: string(g.Kind), Count: 1, Bytes: g.Bytes}}, Freed: g.Bytes})
		}
	}
	all.Plan.Idle = idle
	return dropped, err
}

// evictSome gives up names.
func evictSome(ctx context.Context, s *blobstore.Store, m *blobstore.Maintenance, o EvictOptions, lack int64) ([]EvictedName, error) {
	planned, frees, err := PlanEviction(ctx, s, o, lack)
	if err != nil || frees < lack && !o.Partly {
		return nil, err
	}
	names := make([]content.Name, len(planned))
	for i, n := range planned {
		names[i] = n.Name
	}
	gone, err := m.Evict(ctx, names)
	return slices.DeleteFunc(planned, func(n EvictedName) bool { return !gone[n.Reference] }), err
}

// add adds up what several collections have done. The plan is that of the first, but for
// what is kept, which is that of the last.
func (r *Report) add(more Report) {
	switch {
	case r.Plan == nil:
		r.Plan = more.Plan
	case more.Plan != nil:
		r.Plan.Kept, r.Plan.Idle = more.Plan.Kept, more.Plan.Idle
		for _, p := range more.Plan.Packs {
			if !slices.ContainsFunc(r.Plan.Packs, func(was PackPlan) bool { return was.ID == p.ID }) {
				r.Plan.Packs = append(r.Plan.Packs, p)
			}
		}
	}
	for _, c := range []struct{ to, of *Count }{{&r.Doomed, &more.Doomed}, {&r.Swept, &more.Swept}, {&r.Packs, &more.Packs}} {
		c.to.Objects += c.of.Objects
		c.to.Bytes += c.of.Bytes
	}
	r.Copied += more.Copied
	r.KeptPack = slices.DeleteFunc(r.KeptPack, func(was KeptPack) bool { // and may have gone since
		return more.Plan != nil && slices.ContainsFunc(more.Plan.Packs, func(p PackPlan) bool { return p.ID == was.ID })
	})
	r.KeptPack = append(r.KeptPack, more.KeptPack...)
	for _, w := range more.Files {
		i := slices.IndexFunc(r.Files, func(o blobstore.Waste) bool { return o.Kind == w.Kind })
		if i < 0 {
			r.Files = append(r.Files, w)
			continue
		}
		r.Files[i].Count += w.Count
		r.Files[i].Bytes += w.Bytes
	}
	r.Changes += more.Changes
	r.Freed += more.Freed
	r.Unfinished = r.Unfinished || more.Unfinished
	r.Took += more.Took
}
