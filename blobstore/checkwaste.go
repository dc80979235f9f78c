package blobstore

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dist.example/db"
	"dist.example/oci"
)

// viewLife is how long a copy made for Path is promised to last.
const viewLife = 24 * time.Hour

// wasted counts garbage of a kind.
func (c *checker) wasted(kind string, count, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waste[kind]
	if w == nil {
		w = &Waste{Kind: kind}
		c.waste[kind] = w
	}
	w.Count += count
	w.Bytes += bytes
}

// garbage counts what nothing points to. Some of it may be another process's work
// under way.
func (c *checker) garbage(ctx context.Context) error {
	for _, count := range []func(context.Context) error{c.packWaste, c.orphans, c.ingests, c.leases, c.copies} {
		if err := count(ctx); err != nil {
			return err
		}
	}
	for _, w := range c.waste {
		c.report.Waste = append(c.report.Waste, *w)
	}
	slices.SortFunc(c.report.Waste, func(a, b Waste) int { return cmp.Compare(a.Kind, b.Kind) })
	return nil
}

func sizeOf(e fs.DirEntry) int64 {
	fi, err := e.Info()
	if err != nil {
		return 0 // gone since
	}
	return fi.Size()
}

func (c *checker) packWaste(ctx context.Context) error {
	entries, err := c.s.list(packsDir)
	if err != nil {
		return err
	}
	rows, err := c.packRows(ctx)
	if err != nil {
		return err
	}
	known := map[string]db.Pack{}
	for _, p := range rows {
		known[fmt.Sprintf("%d.pack", p.ID)] = p
		if p.Dead > 0 {
			c.wasted("dead bytes in packs", 0, p.Dead)
		}
	}
	for _, e := range entries {
		p, ok := known[e.Name()]
		switch {
		case !ok:
			c.wasted("packs that are not in the catalog", 1, sizeOf(e))
		case p.State == db.PackDead:
			c.wasted("dead packs", 1, sizeOf(e))
		default:
			if tail := sizeOf(e) - p.End; tail > 0 {
				c.wasted("tails of packs", 1, tail)
			}
			for _, g := range c.gaps[p.ID] {
				c.wasted("damaged stretches of packs", 1, g.to-g.from)
			}
		}
	}
	return nil
}

// orphans counts loose blobs' files that no row points to.
func (c *checker) orphans(ctx context.Context) error {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		entries, err := c.s.list(filepath.Join(blobsDir, alg.String()))
		if err != nil {
			return err
		}
		for some := range slices.Chunk(entries, checkBatch) {
			if err := c.orphansAmong(ctx, alg, some); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) orphansAmong(ctx context.Context, alg oci.Algorithm, entries []fs.DirEntry) error {
	var digests []oci.Digest
	named := map[oci.Digest]fs.DirEntry{}
	for _, e := range entries {
		d, err := oci.ParseDigest(alg.String() + ":" + e.Name())
		if err != nil {
			c.wasted("files without an object", 1, sizeOf(e))
			continue
		}
		digests, named[d] = append(digests, d), e
	}
	return c.s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Objects(digests)
		if err != nil {
			return err
		}
		for d, e := range named {
			row, ok := rows[d]
			loose := row.Loc == db.LocLoose || (row.Loc == db.LocDamaged || row.Loc == db.LocDoomed) && row.Pack == 0
			if !ok || !loose {
				c.wasted("files without an object", 1, sizeOf(e))
			}
		}
		return nil
	})
}

func (c *checker) ingests(ctx context.Context) error {
	entries, err := c.s.list(ingestDir)
	if err != nil {
		return err
	}
	files := map[string]int64{}
	for _, e := range entries {
		files[e.Name()] = sizeOf(e)
	}
	err = c.s.db.Read(ctx, func(tx *db.Tx) error {
		for in, err := range tx.Ingests() {
			if err != nil {
				return err
			}
			name := filepath.Base(c.s.ingestPath(in.Key))
			if _, ok := files[name]; !ok {
				c.wasted("ingests without a file", 1, 0)
			}
			delete(files, name)
		}
		return nil
	})
	for _, size := range files {
		c.wasted("ingests that are not in the catalog", 1, size)
	}
	return err
}

func (c *checker) leases(ctx context.Context) error {
	entries, err := c.s.list(leasesDir)
	if err != nil {
		return err
	}
	var rows []db.Lease
	err = c.s.db.Read(ctx, func(tx *db.Tx) error {
		for l, err := range tx.Leases() {
			if err != nil {
				return err
			}
			rows = append(rows, l)
		}
		return nil
	})
	for _, l := range rows {
		if !l.Counts(time.Now(), c.s.leaseAlive(l.ID)) {
			c.wasted("expired leases", 1, 0)
		}
	}
	for _, e := range entries {
		if !c.s.leaseAlive(e.Name()) {
			c.wasted("files of leases that have ended", 1, 0)
		}
	}
	return err
}

// copies counts what was made or moved away to be removed some time.
func (c *checker) copies(context.Context) error {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		views, err := c.s.list(filepath.Join(viewsDir, alg.String()))
		if err != nil {
			return err
		}
		for _, e := range views {
			if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > viewLife {
				c.wasted("old copies made for path", 1, fi.Size())
			}
		}
	}
	for kind, dir := range map[string]string{"trash": trashDir, "catalogs set aside": oldCatalogDir, "catalogs not finished": newCatalogDir} {
		entries, err := c.s.list(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			c.wasted(kind, 1, sizeOf(e))
		}
	}
	return nil
}

// packID is the id in a pack's file name, false where it is none.
func packID(name string) (int64, bool) {
	number, ok := strings.CutSuffix(name, ".pack")
	id, err := strconv.ParseInt(number, 10, 64)
	return id, ok && err == nil && id > 0 && strconv.FormatInt(id, 10) == number
}
