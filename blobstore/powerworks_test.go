package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// smallCheckpoint is how often an ingest that is left in the middle records how far
// it is. Others have no checkpoints: these would sync what the end is to sync.
const smallCheckpoint = 64 << 10

// works is all that the power is cut off from.
func works(t *testing.T) []work {
	t.Helper()
	old, im := newImage(t, noise(3, 1000)), newImage(t, noise(1, 1000), noise(2, 300<<10), noise(3, 1100<<10))
	lone := newImage(t, noise(18, 290<<10)) // whose files nothing but its batch syncs
	far := memory.New()
	fill(t, far, im)
	fill(t, far, lone)
	large, mid := noise(4, 300<<10), noise(7, 500<<10)
	all := func(names ...string) func(*testing.T, *blobstore.Store) {
		return func(t *testing.T, s *blobstore.Store) {
			named(t, s, old, names...)
			named(t, s, im)
			mustStore(t, s, large)
		}
	}
	onlyOld := func(t *testing.T, s *blobstore.Store) { named(t, s, old, "app:v1") }
	backup, other := []byte(nil), backedUp(t, old, im)
	return []work{
		{name: "a store is made", fresh: true, steps: []workStep{putStep(noise(9, 100))}},
		{name: "small and large blobs are put", steps: []workStep{
			putStep(noise(5, 1000), noise(6, 1000)), putStep(noise(10, 300), noise(11, 280<<10), noise(12, 270<<10)), writerStep(large), putStep(noise(13, 300)),
		}},
		{name: "an image is copied in and named", before: onlyOld, steps: []workStep{
			copyStep(far, lone, "app:v3"), copyStep(far, im, "app:v1", "app:v2"), copyOutStep(im),
		}},
		{name: "names move and go", before: all("app:v1", "app:old"), steps: []workStep{
			tagStep(im.manifest().Digest, "app:v1"), tagStep(old.manifest().Digest, "other:1", "other:2"), removeStep("app:old"), removeStep("other:1"),
		}},
		{name: "content is deleted and comes again", before: all("app:v1"), steps: []workStep{
			deleteStep(large), writerStep(large), putStep(noise(5, 1000)), deleteStep(noise(5, 1000)), putStep(noise(5, 1000)),
		}},
		{name: "garbage is collected", before: func(t *testing.T, s *blobstore.Store) { litter(t, s, old, im, large) }, steps: []workStep{
			collectStep(), putStep(noise(5, 1000), noise(11, 280<<10)), copyStep(far, im, "app:v2"),
		}},
		{name: "a large blob comes in parts", steps: []workStep{partStep(mid, 300<<10), writerStep(mid)}},
		{name: "the end of a part is cut off", steps: []workStep{partStep(mid, 300<<10), cutStep(mid, 200<<10), writerStep(mid)}},
		{name: "a stream comes again", before: func(t *testing.T, s *blobstore.Store) { leave(t, s, stream, mid[:300<<10]) }, steps: []workStep{
			streamStep(expecting(mid), mid),
		}},
		{name: "another stream comes", before: func(t *testing.T, s *blobstore.Store) { leave(t, s, stream, changed(mid[:300<<10], 200<<10)) }, steps: []workStep{
			streamStep(stream, mid), streamStep(stream, large),
		}},
		{name: "what is damaged heals", before: func(t *testing.T, s *blobstore.Store) {
			mustStore(t, s, large)
			flip(t, blobFile(s, large), 5)
			want(t, content.ErrCorrupt, s.Check(t.Context(), oci.DigestBytes(large)))
		}, hurt: true, steps: []workStep{writerStep(large)}},
		{name: "copies are made", before: all("app:v1"), steps: []workStep{pathStep(im.blobs[0]), pathStep(im.blobs[1])}},
		{name: "check mends", before: all("app:v1", "app:v2"), prepared: spoilPack, hurt: true, steps: []workStep{checkStep()}},
		{name: "a backup goes to a folder", before: all("app:v1"), steps: []workStep{
			backupStep(im), putStep(noise(5, 1000), noise(11, 280<<10)), backupStep(im, noise(5, 1000), noise(11, 280<<10)),
		}},
		{name: "the catalog is made anew", before: all("app:v1", "app:v2"), rebuilds: true, hurt: true, steps: []workStep{rebuildStep(im, old)}},
		{name: "the lost catalog is made anew", before: all("app:v1"), prepared: loseCatalog, rebuilds: true, hurt: true, steps: []workStep{rebuildStep(im, old)}},
		{name: "a store is restored", fresh: true, rebuilds: true, steps: []workStep{restoreStep(&other, im, old)}},
		{name: "a store is restored over itself", before: all("app:v1"), prepared: func(t *testing.T, dir string) {
			s := open(t, dir)
			backup = tarOf(t, s)
			must(t, s.Close())
			flip(t, packName(s, "1"), payloadOf(t, packName(s, "1"), noise(1, 1000))+8)
		}, rebuilds: true, hurt: true, steps: []workStep{restoreStep(&backup, im, old)}},
	}
}

// fill lets a store in memory have an image.
func fill(t *testing.T, s *memory.Store, im image) {
	t.Helper()
	for i, p := range im.blobs {
		o := ingest(p)
		o.MediaType = im.types[i]
		if _, err := store(s, o, p); !errors.Is(err, content.ErrExists) {
			must(t, err)
		}
	}
}

// coming is for what may be there from now on, deleted or not.
func (b *bench) coming(blobs ...[]byte) {
	b.promise(func(p *promises) {
		for _, blob := range blobs {
			if d := oci.DigestBytes(blob); !p.blobs[d] {
				delete(p.blobs, d)
			}
		}
	})
}

// pusherTo lets a store in memory be copied to.
type pusherTo struct{ *memory.Store }

func (p pusherTo) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	_, err := p.Info(ctx, desc.Digest)
	return err == nil, nil
}

func (p pusherTo) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	o := ingest(data)
	o.MediaType = desc.MediaType
	_, err = store(p, o, data)
	return err
}

func putStep(blobs ...[]byte) workStep {
	return workStep{"put", func(b *bench) error {
		b.coming(blobs...)
		ses, err := b.s.Begin(b.ctx, blobstore.SessionOptions{Note: "put", Keep: time.Hour})
		if err != nil {
			return err
		}
		for _, p := range blobs {
			if _, err := ses.Put(b.ctx, blobstore.Blob{Data: p, Done: func(i content.Info) { b.held(i.Digest) }}); err != nil {
				return err
			}
			if err := ses.Flush(b.ctx); err != nil {
				return err
			}
		}
		return errors.Join(ses.Commit(b.ctx), ses.Close())
	}}
}

// writeAll writes the rest of p. Where a part of it was lost, which only the digest
// can tell, it writes all of it.
func writeAll(ctx context.Context, s *blobstore.Store, p []byte) error {
	w, err := s.Writer(ctx, ingest(p))
	if errors.Is(err, content.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	write := func() error {
		if _, err := w.Write(p[w.Status().Offset:]); err != nil {
			return err
		}
		_, err := w.Commit(ctx)
		return err
	}
	if err = write(); errors.Is(err, content.ErrCorrupt) {
		if err = w.Reset(); err == nil {
			err = write()
		}
	}
	return err
}

func writerStep(p []byte) workStep {
	return workStep{"write", func(b *bench) error {
		b.coming(p)
		if err := writeAll(b.ctx, b.s, p); err != nil {
			return err
		}
		b.held(oci.DigestBytes(p))
		return nil
	}}
}

// partStep writes a part of p and leaves it: what it stands at a checkpoint is
// promised.
func partStep(p []byte, n int) workStep {
	return workStep{"write a part", func(b *bench) error {
		b.s.CheckpointEvery(smallCheckpoint)
		w, err := b.s.Writer(b.ctx, ingest(p))
		if err != nil {
			return err
		}
		for at := int(w.Status().Offset); at < n; at += 10_000 {
			if _, err := w.Write(p[at:min(at+10_000, n)]); err != nil {
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
		b.promise(func(pr *promises) {
			o := ingest(p)
			pr.streams[o.Key], pr.parts[o.Key] = o, int64(n-smallCheckpoint-10_000)
		})
		return nil
	}}
}

// cutStep drops what a part has from the n-th byte on, writes a little more and leaves it.
func cutStep(p []byte, n int) workStep {
	return workStep{"cut", func(b *bench) error {
		o := ingest(p)
		b.promise(func(pr *promises) { pr.parts[o.Key] = 0 })
		w, err := b.s.Writer(b.ctx, o)
		if err != nil {
			return err
		}
		if err := w.(interface {
			Cut(ctx context.Context, n int64) error
		}).Cut(b.ctx, int64(n)); err != nil {
			return errors.Join(err, w.Close())
		}
		_, err = w.Write(p[n : n+smallCheckpoint+10_000])
		return errors.Join(err, w.Close())
	}}
}

func streamStep(o content.IngestOptions, p []byte) workStep {
	return workStep{"ingest", func(b *bench) error {
		if err := ingestAll(b.s, o, p); err != nil {
			return err
		}
		b.held(oci.DigestBytes(p))
		return nil
	}}
}

// copyStep is a pull.
func copyStep(far content.Fetcher, im image, names ...string) workStep {
	return workStep{"copy in", func(b *bench) error {
		ses, err := b.s.Begin(b.ctx, blobstore.SessionOptions{Note: "pull"})
		if err != nil {
			return err
		}
		if _, err := content.Copy(b.ctx, ses, far, im.manifest(), content.CopyOptions{}); err != nil {
			return errors.Join(err, ses.Close())
		}
		var moves []content.NameChange
		for _, name := range names {
			moves = append(moves, content.NameChange{Reference: reference(b.t, name), Target: im.manifest().Digest, Why: "pull"})
		}
		err = b.naming(func() error { return ses.Commit(b.ctx, moves...) }, im.manifest().Digest, names...)
		if err != nil {
			return errors.Join(err, ses.Close())
		}
		for _, p := range im.blobs {
			b.held(oci.DigestBytes(p))
		}
		return ses.Close()
	}}
}

// copyOutStep is a push.
func copyOutStep(im image) workStep {
	return workStep{"copy out", func(b *bench) error {
		l, err := b.s.Acquire(b.ctx, "push", time.Hour)
		if err != nil {
			return err
		}
		if err := b.s.Hold(b.ctx, l.ID, im.manifest().Digest); err != nil {
			return err
		}
		_, err = content.Copy(b.ctx, pusherTo{memory.New()}, b.s, im.manifest(), content.CopyOptions{})
		return errors.Join(err, b.s.Release(b.ctx, l.ID))
	}}
}

func tagStep(d oci.Digest, names ...string) workStep {
	return workStep{"tag", func(b *bench) error {
		var moves []content.NameChange
		for _, name := range names {
			moves = append(moves, content.NameChange{Reference: reference(b.t, name), Target: d, Why: "tag"})
		}
		return b.naming(func() error { return b.s.SetNames(b.ctx, moves...) }, d, names...)
	}}
}

func removeStep(name string) workStep {
	return workStep{"remove", func(b *bench) error {
		return b.naming(func() error {
			err := b.s.SetNames(b.ctx, content.NameChange{Reference: reference(b.t, name), Why: "remove"})
			if errors.Is(err, content.ErrNotFound) {
				return nil // the first try did it
			}
			return err
		}, "", name)
	}}
}

func deleteStep(p []byte) workStep {
	d := oci.DigestBytes(p)
	return workStep{"delete", func(b *bench) error {
		b.promise(func(pr *promises) { delete(pr.blobs, d) })
		if err := b.s.Delete(b.ctx, d); err != nil && !errors.Is(err, content.ErrNotFound) {
			return err
		}
		b.promise(func(pr *promises) { pr.blobs[d] = false })
		return nil
	}}
}

// pathStep asks for a file: whatever a power cut left of one, it has the right bytes.
func pathStep(p []byte) workStep {
	return workStep{"path", func(b *bench) error {
		name, err := b.s.Path(b.ctx, oci.DigestBytes(p))
		if err != nil {
			return err
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, p) {
			return errors.Join(errors.New("path gives other bytes"), err)
		}
		return nil
	}}
}

func checkStep() workStep {
	return workStep{"check", func(b *bench) error {
		_, err := b.s.CheckAll(b.ctx, blobstore.CheckOptions{})
		return err
	}}
}

// litter leaves something of all that a collection removes, and app:v1.
func litter(t *testing.T, s *blobstore.Store, old, im image, large []byte) {
	t.Helper()
	named(t, s, im, "app:gone")
	mustStore(t, s, noise(14, 600))
	mustStore(t, s, large)
	must(t, s.Delete(t.Context(), im.manifest().Digest, oci.DigestBytes(noise(14, 600)), oci.DigestBytes(large)))
	for _, p := range im.blobs[:len(im.blobs)-1] {
		must(t, s.Delete(t.Context(), oci.DigestBytes(p)))
	}
	named(t, s, old, "app:v1")
	half(t, s, noise(15, 400<<10), 300<<10)
	must(t, os.WriteFile(blobFile(s, noise(16, 10)), []byte("orphan"), 0o444))
	must(t, os.WriteFile(filepath.Join(s.Dir(), "trash", "t"), []byte("trash"), 0o600))
	must(t, os.WriteFile(filepath.Join(s.Dir(), "leases", "l"), nil, 0o600))
	f, err := os.OpenFile(packName(s, "1"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write(noise(17, 900))
	must(t, errors.Join(err, f.Close()))
}

// collectStep takes all steps of a collection that touch files: what was given up
// goes, packs with dead bytes are emptied, and so is all that crashes left behind.
func collectStep() workStep {
	return workStep{"collect", func(b *bench) (err error) {
		m, err := b.s.Maintain(b.ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		if _, err := m.EndLeases(b.ctx); err != nil {
			return err
		}
		var doomed []int64
		err = b.s.View(b.ctx, func(tx *db.Tx) error {
			return tx.EachDoomed(func(id int64) { doomed = append(doomed, id) })
		})
		if err != nil {
			return err
		}
		for some := range slices.Chunk(doomed, 2) {
			if _, err := m.Sweep(b.ctx, some); err != nil {
				return err
			}
		}
		var worn []int64
		err = b.s.View(b.ctx, func(tx *db.Tx) error {
			for p, err := range tx.Packs() {
				if err != nil {
					return err
				}
				if p.Dead > 0 && p.State != db.PackDead {
					worn = append(worn, p.ID)
				}
			}
			return nil
		})
		for _, id := range worn {
			if _, eerr := m.EmptyPack(b.ctx, id, nil); eerr != nil {
				return eerr
			}
		}
		for g, gerr := range b.s.Garbage(b.ctx) {
			if gerr != nil {
				return gerr
			}
			if _, rerr := m.Remove(b.ctx, g); rerr != nil {
				return rerr
			}
		}
		return err
	}}
}

// spoilPack damages the header of the first pack, and the last note in it.
func spoilPack(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "packs", "1.pack")
	p, err := os.ReadFile(name)
	must(t, err)
	flip(t, name, 10)
	flip(t, name, int64(bytes.LastIndex(p, []byte(`"name":`))))
}

func loseCatalog(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"catalog.db", "catalog.db-wal", "catalog.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			must(t, err)
		}
	}
}

// rebuildStep makes the catalog anew, which is to know the images and app:v1.
func rebuildStep(im, old image) workStep {
	return workStep{"rebuild", func(b *bench) error {
		if b.s != nil {
			if err := b.s.Close(); err != nil {
				return err
			}
			b.s = nil
		}
		r, err := blobstore.Rebuild(b.ctx, b.dir, blobstore.RebuildOptions{FS: b.o.FS, Hook: b.o.Hook})
		if err != nil {
			return err
		}
		if !r.Whole() {
			return errors.New("the rebuild lacks something")
		}
		for _, p := range slices.Concat(im.blobs, old.blobs) {
			b.held(oci.DigestBytes(p))
		}
		b.promise(func(p *promises) { p.names["app:v1"] = []oci.Digest{old.manifest().Digest} })
		return nil
	}}
}
