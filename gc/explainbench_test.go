package gc_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/db"
	"dist.example/gc"
	"dist.example/oci"
)

// The store of million: 10,000 images of 100 objects each.
const (
	images    = 10_000
	eachImage = 100
)

func millionDigest(image, part int) oci.Digest {
	return oci.DigestBytes(fmt.Appendf(nil, "image %d part %d", image, part))
}

// million is a store whose catalog has a million objects, and no bytes. Part 0 of each
// image is its manifest, which has a name, part 1 its configuration; the rest are
// layers. Part 2 of image 0 is a layer of all of them. Half of the images were written
// a year ago.
func million(b *testing.B) *blobstore.Store {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "store")
	s, err := blobstore.Open(ctx, dir, blobstore.Options{Create: true})
	must(b, err)
	uuid := s.UUID()
	must(b, s.Close())
	now := time.Now().AddDate(-1, 0, 0)
	d, err := db.Open(ctx, dir, db.Options{Store: uuid, CacheMiB: 256, Clock: func() time.Time { return now }})
	must(b, err)
	const batch = 500
	for i := 0; i < images; i += batch {
		if i >= images/2 {
			now = time.Now()
		}
		must(b, d.Write(ctx, func(tx *db.Tx) error { return putImages(tx, i, i+batch) }))
	}
	must(b, d.Close())
	s, err = blobstore.Open(ctx, dir, blobstore.Options{})
	must(b, err)
	b.Cleanup(func() { s.Close() })
	return s
}

func putImages(tx *db.Tx, from, to int) error {
	var objects []db.Present
	for i := from; i < to; i++ {
		for part := range eachImage {
			media, off := oci.MediaTypeLayer, int64(i*eachImage+part)*1064
			if part == 0 {
				media = oci.MediaTypeManifest
			}
			objects = append(objects, db.Present{Digest: millionDigest(i, part), Size: 1000, Loc: db.LocPack, Pack: 1, Off: off, Stored: 1000, Kind: 1, Media: media})
		}
	}
	rows, err := tx.PutObjects(objects)
	if err != nil {
		return err
	}
	shared, found, err := tx.Object(millionDigest(0, 2))
	if err != nil || !found {
		return err
	}
	var edges []db.Edge
	for i := from; i < to; i++ {
		parts := rows[(i-from)*eachImage:][:eachImage]
		edges = append(edges, db.Edge{Parent: parts[0].ID, Child: parts[1].ID, Role: oci.RoleConfig}, db.Edge{Parent: parts[0].ID, Child: shared.ID, Role: oci.RoleLayer})
		for _, p := range parts[2:] {
			edges = append(edges, db.Edge{Parent: parts[0].ID, Child: p.ID, Role: oci.RoleLayer})
		}
		change := db.RefChange{Name: fmt.Sprintf("registry.example/team/app%d:v1", i), New: millionDigest(i, 0), Why: "pull"}
		if _, err := tx.SetRef(change); err != nil {
			return err
		}
	}
	return tx.PutEdges(edges)
}

// BenchmarkExplain asks a store of a million objects.
func BenchmarkExplain(b *testing.B) {
	s := million(b)
	o := gc.WhyOptions{Grace: time.Hour, KeepHistory: 14 * 24 * time.Hour}
	for name, d := range map[string]oci.Digest{
		"layer-of-one":   millionDigest(7, 50),
		"layer-of-young": millionDigest(images-7, 50),
		"manifest":       millionDigest(7, 0),
		"layer-of-all":   millionDigest(0, 2),
	} {
		b.Run("why/"+name, func(b *testing.B) {
			for b.Loop() {
				found, err := gc.Why(ctx, s, o, d)
				must(b, err)
				b.ReportMetric(float64(len(found[0].Chains))+float64(found[0].More), "chains")
			}
		})
	}
	b.Run("du", func(b *testing.B) {
		for b.Loop() {
			found, err := gc.Usages(ctx, s, gc.Options{KeepHistory: o.KeepHistory})
			must(b, err)
			b.ReportMetric(float64(len(found)), "names")
		}
	})
	b.Run("unreferenced", func(b *testing.B) {
		for b.Loop() {
			for _, err := range gc.Unreferenced(ctx, s, gc.Options{Grace: o.Grace, KeepHistory: o.KeepHistory}) {
				must(b, err)
			}
		}
	})
	b.Run("list/first", func(b *testing.B) {
		for b.Loop() {
			for _, err := range s.All(ctx) {
				must(b, err)
				break
			}
		}
	})
}
