package blobstore

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"slices"
	"strings"

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
	err := eachObject(gctx, c.s.db, func(o db.Object) error {
		c.account(o)
		switch {
		case o.Loc == db.LocDamaged:
			problem := foundBefore
			if c.right.has(o.ID) {
				problem = foundRight
			}
			g.Go(func() error { return c.damaged(gctx, o, placeOf(o), problem) })
		case o.Loc == db.LocLoose, o.Loc == db.LocPack && !c.seen.has(o.ID):
			g.Go(func() error { return c.look(gctx, o) })
		}
		return nil
	})
	return errors.Join(err, g.Wait())
}

// account notes what a row says beside where its bytes are.
func (c *checker) account(o db.Object) {
	if o.Loc.Held() {
		c.report.Held++
	}
	switch {
	case o.Loc == db.LocDoomed:
		c.wasted("given up, not yet removed", 1, o.Stored)
	case !o.Loc.Held():
	case !c.pick.nothing() && knownMedia(o.Media) != "" && !c.typed.has(o.ID):
		c.mu.Lock()
		c.untold[o.ID] = o.Media
		c.mu.Unlock()
	}
}

// look reads an object where its row says that it is. What is wrong is reported
// only if the row still says so afterwards.
func (c *checker) look(ctx context.Context, o db.Object) error {
	for {
		problem, err := c.judge(ctx, o)
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
		case o.Loc == db.LocPack && c.foreign[o.Pack]:
			return nil // told of the pack
		case problem.newer:
			c.newer("%s in %s: %s", o.Digest, placeOf(o), problem.text)
			return nil
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

// problem is what is wrong with an object: with its bytes, with what the catalog
// says of them, or with this version, which does not understand them.
type problem struct {
	text    string
	catalog bool
	newer   bool
}

func damage(format string, args ...any) *problem {
	return &problem{text: fmt.Sprintf(format, args...)}
}

func wrong(format string, args ...any) *problem {
	return &problem{text: fmt.Sprintf(format, args...), catalog: true}
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
	case errors.Is(err, content.ErrCorrupt):
		return damage("%s", lastCause(err)), nil
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
		return nil, wrong("there is no record at %d", o.Off), nil
	}
	f, err := c.s.openContent(c.s.packPath(o.Pack))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	rec, err := pack.ReadRecord(f, o.Off)
	switch {
	case fsys.Unreadable(err):
		return nil, nil, err
	case errors.Is(err, content.ErrCorrupt) && c.inGap(o.Pack, o.Off):
		return nil, damage("its record is damaged"), nil
	case errors.Is(err, content.ErrCorrupt):
		return nil, wrong("there is no record at %d", o.Off), nil
	case err != nil:
		return nil, nil, err
	}
	if differs := agreeing(rec, o); differs != "" {
		return nil, wrong("%s", differs), nil
	}
	data, err := pack.ReadBlob(f, rec)
	if errors.Is(err, content.ErrUnsupported) {
		return nil, &problem{text: lastCause(err), newer: true}, nil
	}
	return data, nil, err
}

// readLoose hashes a loose blob. It returns the bytes of manifests.
func (c *checker) readLoose(ctx context.Context, o db.Object) ([]byte, *problem, error) {
	f, err := c.s.openContent(c.s.blobPath(o.Digest))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	var sums blockSums
	got, n, err := hashAll(ctx, f, o.Digest, func(p []byte) { c.advance(int64(len(p))); sums.write(p) })
	if err != nil {
		return nil, nil, err
	}
	switch {
	case got != o.Digest && n != o.Size:
		return nil, damage("%d bytes in place of %d", n, o.Size), nil
	case got != o.Digest:
		return nil, damage(hashesTo+"%s", got), nil
	case n != o.Size:
		return nil, wrong("it has %d bytes, the file %d", o.Size, n), nil
	}
	if err := c.blockSums(ctx, o, sums.sums(n)); err != nil {
		return nil, nil, err
	}
	if !oci.HasSuccessors(o.Media) || n > oci.MaxManifestSize {
		return nil, nil, nil
	}
	data, err := readWhole(f, n)
	return data, nil, err
}

// hashAll hashes all of a file with the algorithm of a digest, and counts its
// bytes; see gets them as they come.
func hashAll(ctx context.Context, f fsys.File, like oci.Digest, see func(p []byte)) (oci.Digest, int64, error) {
	h := hasher(like)
	n, err := io.CopyBuffer(hashing{h, see}, struct{ io.Reader }{content.UntilDone(ctx, f)}, make([]byte, chunk))
	return oci.NewDigest(like.Algorithm(), h), n, err
}

// hashing is a hash, and somebody else who sees what it sees.
type hashing struct {
	hash hash.Hash
	see  func(p []byte)
}

func (h hashing) Write(p []byte) (int, error) {
	h.see(p)
	return h.hash.Write(p)
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
	return c.s.db.Read(ctx, func(tx *db.Tx) error {
		now, found, err := tx.ObjectByID(o.ID)
		if err != nil || !found || !now.Loc.Held() {
			return err
		}
		known, err := tx.Children(o.ID)
		if err == nil {
			c.compareEdges(o, said, known)
		}
		return err
	})
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
		// What is held has its type with its bytes, whatever a parent says.
		c.says(child, e.MediaType, false)
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
