package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// objects walks over all rows: loose blobs are read, packed ones that were not
// found in their packs are looked at again.
func (c *checker) objects(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers())
	err := c.eachObject(gctx, func(o db.Object) error {
		c.account(o)
		switch {
		case o.Loc == db.LocDamaged:
			return c.damaged(gctx, o, placeOf(o), "found damaged before")
		case o.Loc == db.LocLoose, o.Loc == db.LocPack && !c.seen.has(o.ID):
			g.Go(func() error { return c.look(gctx, o) })
		}
		return nil
	})
	return errors.Join(err, g.Wait())
}

// eachObject walks over all rows in pages, each of its own snapshot.
func (c *checker) eachObject(ctx context.Context, do func(db.Object) error) error {
	for last := int64(0); ; {
		var page []db.Object
		err := c.s.db.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = tx.ObjectsAfter(last, checkBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range page {
			if err := do(o); err != nil {
				return err
			}
		}
		if len(page) < checkBatch {
			return nil
		}
		last = page[len(page)-1].ID
	}
}

// account notes what a row says beside where its bytes are.
func (c *checker) account(o db.Object) {
	switch {
	case o.Loc == db.LocDoomed:
		c.wasted("given up, not yet removed", 1, o.Stored)
	case o.Loc.Held() && knownMedia(o.Media) != "" && !c.typed.has(o.ID):
		c.mu.Lock()
		c.untold[o.ID] = o.Media
		c.mu.Unlock()
	}
}

// look reads an object where its row says that it is. What is wrong is reported
// only if the row still says so afterwards.
func (c *checker) look(ctx context.Context, o db.Object) error {
	for {
		problem, err := c.read(ctx, o)
		if err != nil || problem == nil {
			return err
		}
		now, err := c.again(ctx, o)
		switch {
		case err != nil || !now.Loc.Held():
			return err // given up or marked since: whoever did it knows
		case now != o && !sameBytes(now, o):
			o = now
			continue
		case problem.catalog:
			c.complain("%s in %s: %s", o.Digest, placeOf(o), problem.text)
			return nil
		}
		return c.damaged(ctx, o, placeOf(o), problem.text)
	}
}

// sameBytes says whether two rows point to the same bytes.
func sameBytes(a, b db.Object) bool {
	return a.Loc == b.Loc && a.Pack == b.Pack && a.Off == b.Off && a.Committed.Equal(b.Committed)
}

func (c *checker) again(ctx context.Context, o db.Object) (now db.Object, err error) {
	err = c.s.db.Read(ctx, func(tx *db.Tx) error {
		now, _, err = tx.ObjectByID(o.ID)
		return err
	})
	return now, err
}

// problem is what is wrong with an object: with its bytes, or with what the
// catalog says of them.
type problem struct {
	text    string
	catalog bool
}

func damage(format string, args ...any) *problem {
	return &problem{text: fmt.Sprintf(format, args...)}
}

// read reads and verifies an object. An error is one that says nothing about it.
func (c *checker) read(ctx context.Context, o db.Object) (*problem, error) {
	var (
		manifest []byte
		p        *problem
		err      error
	)
	if o.Loc == db.LocPack {
		manifest, p, err = c.readPacked(o)
	} else {
		manifest, p, err = c.readLoose(ctx, o)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return damage("the file is gone"), nil
	case err != nil:
		return nil, fmt.Errorf("check %s: %w", o.Digest, fsys.Classify(err))
	case p != nil:
		return p, nil
	}
	c.sound(o)
	return nil, c.edges(ctx, o, manifest)
}

func (c *checker) readPacked(o db.Object) ([]byte, *problem, error) {
	if o.Off < pack.HeaderSize {
		return nil, &problem{fmt.Sprintf("there is no record at %d", o.Off), true}, nil
	}
	f, err := c.s.fs.OpenFile(c.s.packPath(o.Pack), os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	rec, err := pack.ReadRecord(f, o.Off)
	if errors.Is(err, content.ErrCorrupt) {
		if c.inGap(o.Pack, o.Off) {
			return nil, damage("its record is damaged"), nil
		}
		return nil, &problem{fmt.Sprintf("there is no record at %d", o.Off), true}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if differs := agreeing(rec, o); differs != "" {
		return nil, &problem{differs, true}, nil
	}
	data, err := pack.ReadBlob(f, rec)
	if errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrUnsupported) {
		return nil, damage("%s", lastCause(err)), nil
	}
	return data, nil, err
}

// readLoose hashes a loose blob. It returns the bytes of manifests.
func (c *checker) readLoose(ctx context.Context, o db.Object) ([]byte, *problem, error) {
	f, err := c.s.fs.OpenFile(c.s.blobPath(o.Digest), os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	got, n, err := hashAll(ctx, f, o.Digest)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case got != o.Digest && n != o.Size:
		return nil, damage("%d bytes in place of %d", n, o.Size), nil
	case got != o.Digest:
		return nil, damage("the bytes hash to %s", got), nil
	case n != o.Size:
		return nil, &problem{fmt.Sprintf("it has %d bytes, the file %d", o.Size, n), true}, nil
	}
	if !oci.HasSuccessors(o.Media) || n > oci.MaxManifestSize {
		return nil, nil, nil
	}
	data, err := readWhole(f, n)
	return data, nil, err
}

// hashAll hashes all of a file with the algorithm of a digest, and counts its
// bytes.
func hashAll(ctx context.Context, f fsys.File, like oci.Digest) (oci.Digest, int64, error) {
	h := hasher(like)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{content.UntilDone(ctx, f)}, make([]byte, chunk))
	return oci.NewDigest(like.Algorithm(), h), n, err
}

// readWhole reads the first n bytes of a file.
func readWhole(f fsys.File, n int64) ([]byte, error) {
	p := make([]byte, n)
	if _, err := f.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return p, nil
}

// lastCause is the innermost text of an error: what is around it says again which
// object it is about, and that it is damaged.
func lastCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || inner == content.ErrCorrupt || inner == content.ErrUnsupported {
			return strings.TrimPrefix(err.Error(), content.ErrCorrupt.Error()+": ")
		}
		err = inner
	}
}

// edges compares what a manifest says with the catalog's edges, and takes the
// types that it gives its children.
func (c *checker) edges(ctx context.Context, o db.Object, data []byte) error {
	if !oci.HasSuccessors(o.Media) {
		return nil
	}
	said, err := oci.Successors(o.Media, data)
	if err != nil {
		c.complain("%s: it is no %s: %v", o.Digest, o.Media, err)
		return nil
	}
	var known []db.Neighbour
	err = c.s.db.Read(ctx, func(tx *db.Tx) (err error) {
		now, found, err := tx.ObjectByID(o.ID)
		if err != nil || !found || !now.Loc.Held() {
			return err
		}
		known, err = tx.Children(o.ID)
		c.compareEdges(o, said, known)
		return err
	})
	return err
}

func (c *checker) compareEdges(o db.Object, said []oci.Edge, known []db.Neighbour) {
	type end struct {
		role   oci.Role
		digest oci.Digest
	}
	children := map[end]db.Object{}
	for _, k := range known {
		children[end{k.Role, k.Digest}] = k.Object
	}
	for _, e := range said {
		child, ok := children[end{e.Role, e.Digest}]
		if !ok {
			c.complain("%s: its %s %s is not among the edges", o.Digest, e.Role, e.Digest)
			continue
		}
		c.says(child, e.MediaType, true)
	}
	for _, k := range known {
		here := func(e oci.Edge) bool { return e.Role == k.Role && e.Digest == k.Digest }
		if !slices.ContainsFunc(said, here) && !c.otherwise(o, k) {
			c.complain("%s: an edge to the %s %s that it does not have", o.Digest, k.Role, k.Digest)
		}
	}
}

// otherwise says whether an edge may be from a time when the document went by
// another type.
func (c *checker) otherwise(o db.Object, k db.Neighbour) bool {
	return oci.IsIndex(o.Media) != (k.Role == oci.RoleManifest) && k.Role != oci.RoleSubject
}

// knownMedia is a type as the catalog keeps it: bytes are without one.
func knownMedia(mediaType string) string {
	if mediaType == oci.MediaTypeOctets {
		return ""
	}
	return mediaType
}

// says takes what something beside the catalog says of an object's type. binding
// means that the catalog should know it too.
func (c *checker) says(o db.Object, mediaType string, binding bool) {
	mediaType = knownMedia(mediaType)
	switch {
	case mediaType == "" || o.ID == 0:
	case o.Media == mediaType:
		c.typed.add(o.ID)
	case o.Media == "" && binding && o.Loc.Held():
		c.mu.Lock()
		c.lost[o.ID] = mediaType
		c.mu.Unlock()
	default:
		c.mu.Lock()
		if c.untold[o.ID] == mediaType { // given meanwhile
			delete(c.untold, o.ID)
		}
		c.mu.Unlock()
		if binding {
			c.denied.add(o.ID)
		}
	}
}

// sameLife is how much earlier than an object's commit the note of its type may
// be written. An older one may be of the same content at an earlier time, given
// up since.
const sameLife = 10 * time.Minute

func (c *checker) noteSays(o db.Object, n pack.Note) {
	c.says(o, n.Media, time.Unix(0, n.Seq).After(o.Committed.Add(-sameLife)))
}

// types reports the objects whose type in the catalog nothing confirms.
func (c *checker) types(ctx context.Context) error {
	for id, media := range c.untold {
		if c.typed.has(id) {
			continue
		}
		o, err := c.again(ctx, db.Object{ID: id})
		if err != nil {
			return err
		}
		if o.Loc.Held() && o.Media == media {
			c.unconfirmed(o)
		}
	}
	for id, media := range c.lost {
		o, err := c.again(ctx, db.Object{ID: id})
		if err != nil {
			return err
		}
		if o.Loc.Held() && o.Media == "" {
			c.complain("%s: it has no media type, and is %s", o.Digest, media)
		}
	}
	return nil
}

// unconfirmed judges a type that the catalog alone knows. Where a pack has lost
// records, and nothing tells of another type, its note was among them.
func (c *checker) unconfirmed(o db.Object) {
	if len(c.gaps) == 0 || c.denied.has(o.ID) {
		c.complain("%s: it is called %s, which nothing confirms", o.Digest, o.Media)
		return
	}
	// A later word on its type counts more than this one.
	c.write(pack.Note{Type: pack.NoteMedia, Seq: o.Committed.UnixNano(), Digest: o.Digest, Media: o.Media, Size: o.Size},
		"the type of %s was lost from a pack", o.Digest)
}
