package blobstore

import (
	"context"
	"errors"
	"maps"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// family is a manifest and what it refers to.
type family struct {
	parent int64
	edges  []oci.Edge
}

// edges parses all manifests, in the order in which they came in: they lie beside each
// other in the packs then, and so do their rows and what they refer to.
func (r *rebuilder) edges(ctx context.Context) error {
	for d, n := range r.media {
		if oci.HasSuccessors(n.Media) {
			r.manifests[d] = true
		}
	}
	var ids []int64
	err := r.db.Read(ctx, func(tx *db.Tx) error {
		known, err := tx.IDs(slices.Sorted(maps.Keys(r.manifests)))
		ids = slices.Sorted(maps.Values(known))
		return err
	})
	if err != nil {
		return err
	}
	from := &packSource{layout: r.layout}
	defer from.close()
	for some := range slices.Chunk(ids, manifestBatch) {
		var rows map[int64]db.Object
		err := r.db.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = tx.ObjectsByID(some)
			return err
		})
		if err != nil {
			return err
		}
		var families []family
		for _, id := range some {
			o := rows[id]
			if !oci.HasSuccessors(o.Media) || !o.Loc.Held() {
				continue
			}
			edges, err := r.parse(from, o)
			if err != nil {
				return err
			}
			families = append(families, family{o.ID, edges})
		}
		if err := r.putEdges(ctx, families); err != nil {
			return err
		}
	}
	return nil
}

// manifestBatch is how many manifests are parsed and written at once.
const manifestBatch = 4096

// packSource reads from packs, of which it keeps the last one open.
type packSource struct {
	layout
	file fsys.File
	id   int64
}

func (s *packSource) open(id int64) (f fsys.File, err error) {
	if s.file != nil && s.id == id {
		return s.file, nil
	}
	s.close()
	if f, err = s.openContent(s.packPath(id)); err == nil {
		s.file, s.id = f, id
	}
	return f, err
}

func (s *packSource) close() {
	if s.file != nil {
		s.file.Close() // read only
		s.file = nil
	}
}

// parse reads a manifest that was verified already.
func (r *rebuilder) parse(from *packSource, o db.Object) ([]oci.Edge, error) {
	data, err := from.bytes(o)
	if errors.Is(err, content.ErrCorrupt) { // it was good a moment ago
		r.left("%s: what it refers to: %s", o.Digest, lastCause(err))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	edges, err := oci.Successors(o.Media, data)
	if err != nil {
		r.left("%s: it is no %s: %v", o.Digest, o.Media, err)
	}
	return edges, nil
}

func (s *packSource) bytes(o db.Object) ([]byte, error) {
	if o.Loc == db.LocPack {
		f, err := s.open(o.Pack)
		if err != nil {
			return nil, err
		}
		return pack.ReadBlob(f, record(o.Digest, o))
	}
	if o.Size > oci.MaxManifestSize {
		return nil, nil // it does not parse, as what is too long
	}
	f, err := s.openContent(s.blobPath(o.Digest))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readWhole(f, o.Size)
}

func (r *rebuilder) putEdges(ctx context.Context, families []family) error {
	if len(families) == 0 {
		return nil
	}
	return r.db.Write(ctx, func(tx *db.Tx) error {
		ids, err := childIDs(tx, families)
		if err != nil {
			return err
		}
		var edges []db.Edge
		for _, f := range families {
			for _, e := range f.edges {
				edges = append(edges, db.Edge{Parent: f.parent, Child: ids[e.Digest], Role: e.Role})
			}
		}
		return tx.PutEdges(edges)
	})
}

// childIDs finds the ids of what families refer to, nearly all of which are here, and
// makes rows for the others.
func childIDs(tx *db.Tx, families []family) (map[oci.Digest]int64, error) {
	children := map[oci.Digest]oci.Descriptor{}
	for _, f := range families {
		for _, e := range f.edges {
			children[e.Digest] = e.Descriptor
		}
	}
	ids, err := tx.IDs(slices.Sorted(maps.Keys(children)))
	if err != nil {
		return nil, err
	}
	var absent []oci.Descriptor
	for d, desc := range children {
		if _, ok := ids[d]; !ok {
			absent = append(absent, desc)
		}
	}
	made, err := tx.EnsureObjects(absent)
	for i, id := range made {
		ids[absent[i].Digest] = id
	}
	return ids, err
}
