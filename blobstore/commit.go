package blobstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
	"golang.org/x/sync/errgroup"
)

// errChanged asks for another round: what was looked at before the transaction is
// no longer so inside it.
var errChanged = errors.New("the store changed meanwhile")

// commit makes a batch durable and visible: its small blobs are appended to one
// pack with one fsync, and one transaction holds rows, edges, leases, names and
// the pack's new end. Either all of it is there afterwards or nothing.
func (s *Store) commit(ctx context.Context, b *batch) error {
	if err := s.writable(); err != nil {
		return err
	}
	for range 4 {
		err := s.tryCommit(ctx, b)
		if errors.Is(err, errChanged) {
			continue
		}
		if err == nil {
			b.finish(s)
		}
		return err
	}
	return fmt.Errorf("write to store %s: %w: other processes keep changing the same objects", s.dir, content.ErrBusy)
}

// finish tells everybody who waits for the batch.
func (b *batch) finish(s *Store) {
	if b.lease != nil {
		b.lease.committed(b.release)
	}
	for _, it := range b.items {
		for _, in := range it.ingests() {
			s.hook("ingest.done")
			in.remove()
		}
		s.endTemp(it)
		if it.done != nil {
			it.done(it.info())
		}
	}
}

func (s *Store) tryCommit(ctx context.Context, b *batch) error {
	fresh, err := s.fresh(ctx, b)
	if err != nil {
		return err
	}
	c := &committing{s: s, b: b, fresh: fresh}
	if err := s.spend(c.appends()); err != nil {
		return fmt.Errorf("write to store %s: %w", s.dir, err)
	}
	if c.needsPack() {
		if c.pack, c.spoiled, err = s.takePack(ctx); err != nil {
			return err
		}
		defer c.pack.release()
		if err := c.append(); err != nil {
			c.pack.retract(s)
			return fmt.Errorf("write pack %d: %w", c.pack.id, fsys.Classify(err))
		}
	}
	if err := c.durable(); err != nil {
		if c.pack != nil {
			c.pack.retract(s)
		}
		return err
	}
	s.hook("commit.begin")
	err = s.db.Write(ctx, c.transact)
	s.hook("commit.end")
	if err == nil {
		s.cutTails(ctx, c.spoiled)
	}
	if err != nil && c.pack != nil {
		var unknown *db.CommitError
		if !errors.As(err, &unknown) {
			c.pack.retract(s)
		}
		// Else the bytes stay past the recorded end, or below it if the commit
		// happened after all; the pack's next writer sees which.
	}
	return err
}

// fresh finds which small items have to be written: those that are not held. Of
// all items it finds out whether their media types have to be noted.
func (s *Store) fresh(ctx context.Context, b *batch) (map[*item]bool, error) {
	fresh := map[*item]bool{}
	if len(b.items) == 0 {
		return fresh, nil
	}
	digests := make([]oci.Digest, len(b.items))
	for i, it := range b.items {
		digests[i] = it.desc.Digest
	}
	rows, err := s.db.Objects(ctx, digests)
	for _, it := range b.items {
		row := rows[it.desc.Digest]
		if !it.loose() && !row.Loc.Held() {
			fresh[it] = true
		}
		it.noted = it.needsNote(row)
	}
	return fresh, err
}

// committing is one attempt at a batch.
type committing struct {
	s       *Store
	b       *batch
	fresh   map[*item]bool
	pack    *openPack
	spoiled []int64
	end     int64 // of the pack, with everything appended so far
	live    int64 // payload bytes appended that rows point to
	dead    int64 // and those that none does
	synced  bool
}

// durable syncs what the transaction is to speak of, the pack and the files at the
// same time.
func (c *committing) durable() error {
	var g errgroup.Group
	g.Go(func() error {
		if err := c.syncAppended(); err != nil {
			return fmt.Errorf("write pack %d: %w", c.pack.id, fsys.Classify(err))
		}
		return nil
	})
	g.Go(func() error {
		if err := c.syncBatched(); err != nil {
			return fmt.Errorf("write to store %s: %w", c.s.dir, fsys.Classify(err))
		}
		return nil
	})
	return g.Wait()
}

// appends is how many bytes of content go to the pack. Notes are for free: what takes
// names and content away has to be told of in a full store, too.
func (c *committing) appends() (n int64) {
	for it := range c.fresh {
		n += int64(len(it.encoded))
	}
	return n
}

func (c *committing) needsPack() bool {
	if len(c.fresh) > 0 || c.moves() {
		return true
	}
	for _, it := range c.b.items {
		if it.noted {
			return true
		}
	}
	return false
}

// transact is the batch's transaction, under the write lock.
func (c *committing) transact(tx *db.Tx) error {
	if err := sealAll(tx, c.spoiled); err != nil {
		return err
	}
	if len(c.spoiled) > 0 {
		c.s.hook("pack.spoiled")
	}
	ids, err := c.objects(tx)
	if err != nil {
		return err
	}
	c.s.hook("commit.objects")
	if err := c.leases(tx, ids); err != nil {
		return err
	}
	if err := c.names(tx); err != nil {
		return err
	}
	return c.packEnd(tx)
}

// objects writes the rows of all items, their edges and sources.
func (c *committing) objects(tx *db.Tx) ([]int64, error) {
	rows := make([]db.Present, len(c.b.items))
	for i, it := range c.b.items {
		rows[i] = c.row(it)
	}
	if err := c.placeLoose(tx); err != nil {
		return nil, err
	}
	put, err := tx.PutObjects(rows)
	if err != nil {
		return nil, err
	}
	ids, kept := make([]int64, len(put)), map[int64]*item{}
	for i, p := range put {
		it := c.b.items[i]
		ids[i] = p.ID
		it.when, it.was = tx.Now, nil
		switch {
		case it.loose() && !p.Adopted && !it.noted && it.knownType() != "":
			return nil, errChanged // the note of its type may have gone with what was held
		case it.loose():
		case !c.fresh[it] && !p.Adopted:
			return nil, errChanged // held a moment ago, given up since
		case c.fresh[it] && p.Adopted:
			c.dead += it.record.StoredSize
		case c.fresh[it]:
			c.live += it.record.StoredSize
		}
		if p.Adopted {
			kept[p.ID] = it
		}
	}
	if err := c.adopt(tx, kept); err != nil {
		return nil, err
	}
	if err := c.edges(tx, ids); err != nil {
		return nil, err
	}
	if err := c.blockSums(tx, ids); err != nil {
		return nil, err
	}
	return ids, c.bookkeeping(tx, ids)
}

// row is the item as it would be held if nothing held it yet.
func (c *committing) row(it *item) db.Present {
	p := db.Present{Digest: it.desc.Digest, Size: it.desc.Size, Media: it.knownType()}
	if it.loose() {
		p.Loc, p.Stored = db.LocLoose, it.desc.Size
		return p
	}
	p.Loc, p.Stored = db.LocPack, it.record.StoredSize
	p.Codec, p.Kind = int(it.record.Codec), int(it.record.Kind)
	if c.fresh[it] {
		p.Pack, p.Off = c.pack.id, it.offset
	}
	return p
}

// adopt tells items of what was held before and stays, and gives that the type
// that was given now.
func (c *committing) adopt(tx *db.Tx, kept map[int64]*item) error {
	if len(kept) == 0 {
		return nil
	}
	rows, err := tx.ObjectsByID(slices.Collect(maps.Keys(kept)))
	if err != nil {
		return err
	}
	for id, it := range kept {
		row, now := rows[id], it.knownType()
		if it.retypes(row.Media) {
			if !it.noted {
				return errChanged // written meanwhile with another type, of which no note tells
			}
			if err := tx.SetMediaType(id, now); err != nil {
				return err
			}
			row.Media = now
		}
		was := infoOf(row)
		it.was = &was
	}
	return nil
}

// placeLoose gives loose items their names for good, unless they are held
// already: then what is held stays, and an additional link goes.
func (c *committing) placeLoose(tx *db.Tx) error {
	for _, it := range c.b.items {
		if !it.loose() {
			continue
		}
		o, found, err := tx.Object(it.desc.Digest)
		if err != nil {
			return err
		}
		switch {
		case found && o.Loc == db.LocPack:
			c.s.hook("loose.needless")
			c.s.fs.Remove(c.s.blobPath(it.desc.Digest))
		case found && o.Loc.Held():
		default:
			if err := c.s.placeLoose(it); err != nil {
				return fmt.Errorf("place %s: %w", it.desc.Digest, fsys.Classify(err))
			}
			c.s.hook("loose.placed")
		}
	}
	return nil
}

func (c *committing) edges(tx *db.Tx, ids []int64) error {
	for i, it := range c.b.items {
		if len(it.edges) == 0 {
			continue
		}
		children := make([]oci.Descriptor, len(it.edges))
		for k, e := range it.edges {
			children[k] = e.Descriptor
		}
		known, err := tx.EnsureObjects(children)
		if err != nil {
			return err
		}
		edges := make([]db.Edge, len(it.edges))
		for k, e := range it.edges {
			edges[k] = db.Edge{Parent: ids[i], Child: known[k], Role: e.Role}
		}
		if err := tx.PutEdges(edges); err != nil {
			return err
		}
	}
	return nil
}

// bookkeeping records where the objects came from and which repositories they were
// pushed to, and that their ingests have ended.
func (c *committing) bookkeeping(tx *db.Tx, ids []int64) error {
	var sources []db.ObjectSource
	for i, it := range c.b.items {
		if it.source != "" {
			sources = append(sources, db.ObjectSource{Object: ids[i], Locator: it.source})
		}
		for _, in := range it.ingests() {
			if err := tx.DeleteIngest(in.key); err != nil {
				return err
			}
		}
		for _, repo := range it.repos {
			o := db.Object{ID: ids[i], Digest: it.desc.Digest}
			if err := tx.Include(repo, db.Pushed, []db.Object{o}); err != nil {
				return err
			}
		}
	}
	return tx.PutSources(sources)
}

// leases puts everything the batch wrote or found under its lease.
func (c *committing) leases(tx *db.Tx, ids []int64) error {
	for i, it := range c.b.items {
		if c.b.lease == nil && it.lease != "" {
			if err := tx.HoldObjects(it.lease, ids[i:i+1]); err != nil {
				return err
			}
		}
	}
	if c.b.lease == nil {
		return nil
	}
	found, err := c.held(tx)
	if err != nil {
		return err
	}
	if c.b.release {
		return c.endLease(tx)
	}
	if err := c.b.lease.store(tx); err != nil {
		return err
	}
	return tx.HoldObjects(c.b.lease.id, append(ids, found...))
}

// held finds the objects that were found held while the batch was gathered. Where
// one has gone since, no name moves: it may be what a name was to reach. Without
// names it is just not there to be kept.
func (c *committing) held(tx *db.Tx) ([]int64, error) {
	if len(c.b.held) == 0 {
		return nil, nil
	}
	ds := make([]oci.Digest, 0, len(c.b.held))
	for d := range c.b.held {
		ds = append(ds, d)
	}
	rows, err := tx.Objects(ds)
	if err != nil {
		return nil, err
	}
	var (
		ids  []int64
		gone []oci.Digest
	)
	for _, d := range ds {
		if o, ok := rows[d]; ok && o.Loc.Held() {
			ids = append(ids, o.ID)
		} else {
			gone = append(gone, d)
		}
	}
	if len(gone) > 0 && len(c.b.names) > 0 {
		return nil, &MissingError{c.b.names[0].Reference.Local().String(), gone, false}
	}
	return ids, nil
}

func (c *committing) endLease(tx *db.Tx) error {
	if !c.b.lease.isStored() {
		return nil
	}
	return tx.ReleaseLease(c.b.lease.id)
}
