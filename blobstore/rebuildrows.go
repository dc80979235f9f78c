package blobstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/oci"
)

// readLoose hashes all loose blobs.
func (r *rebuilder) readLoose(ctx context.Context) error {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		entries, err := r.list(filepath.Join(blobsDir, alg.String()))
		if err != nil {
			return err
		}
		for some := range slices.Chunk(entries, checkBatch) {
			var digests []oci.Digest
			for _, e := range some {
				switch d, ok := digestIn(alg, e.Name()); {
				case ok:
					digests = append(digests, d)
				case strings.HasSuffix(e.Name(), newSuffix): // what a crash left of placeLoose
				default:
					r.left("%s/%s/%s is no blob's name", blobsDir, alg, e.Name())
				}
			}
			if err := r.hashLoose(ctx, digests); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashLoose hashes some loose blobs, several at once, and writes the rows of those
// that are good.
func (r *rebuilder) hashLoose(ctx context.Context, digests []oci.Digest) error {
	sizes, found, bad := make([]int64, len(digests)), make([]oci.Digest, len(digests)), make([]error, len(digests))
	sums := make([]blockSums, len(digests))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers())
	for i, d := range digests {
		g.Go(func() (err error) {
			found[i], sizes[i], err = r.hashFile(gctx, d, &sums[i])
			if suspicious(err) {
				bad[i], err = err, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var (
		rows  []db.Present
		known [][]byte
	)
	for i, d := range digests {
		switch {
		case isNoFile(bad[i]):
			r.left("%s/%s/%s is no file", blobsDir, d.Algorithm(), d.Encoded())
			continue
		case bad[i] != nil:
			r.bad[d] = Damage{Digest: d, Size: sizes[i], Place: placeLoose, Problem: lastCause(bad[i])}
			continue
		case found[i] != d:
			r.bad[d] = Damage{Digest: d, Size: sizes[i], Place: placeLoose, Problem: fmt.Sprintf("the bytes hash to %s", found[i])}
			continue
		}
		rows = append(rows, db.Present{Digest: d, Size: sizes[i], Media: r.typeOf(d), Loc: db.LocLoose, Stored: sizes[i]})
		known = append(known, sums[i].sums(sizes[i]))
	}
	_, err := r.put(ctx, rows, known...)
	return err
}

// hashFile hashes the file of a loose blob.
func (r *rebuilder) hashFile(ctx context.Context, d oci.Digest, sums *blockSums) (oci.Digest, int64, error) {
	f, err := r.openContent(r.blobPath(d))
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	return hashAll(ctx, f, d, func(p []byte) { r.advance(int64(len(p))); sums.write(p) })
}

// types gives objects the types that their newest notes say.
func (r *rebuilder) types(ctx context.Context) error {
	for some := range slices.Chunk(slices.Sorted(maps.Keys(r.media)), rebuildBatch) {
		err := r.db.Write(ctx, func(tx *db.Tx) error {
			rows, err := tx.Objects(some)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if now := r.typeOf(row.Digest); now != row.Media {
					if err := tx.SetMediaType(row.ID, now); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keep puts what no name reaches under a lease, and reports what names reach and
// is damaged.
func (r *rebuilder) keep(ctx context.Context) error {
	var (
		reached idSet
		missing = map[oci.Digest]*Damage{}
	)
	err := r.db.Read(ctx, func(tx *db.Tx) error {
		var some []db.Ref
		walk := func() error {
			defer func() { some = some[:0] }()
			return reachNames(tx, some, func(ids []int64) {
				for _, id := range ids {
					reached.add(id)
				}
			}, func(o db.Object, name string) { lack(missing, o, name) })
		}
		for ref, err := range tx.Refs("") {
			if err != nil {
				return err
			}
			if some = append(some, ref); len(some) == nameBatch {
				if err := walk(); err != nil {
					return err
				}
			}
		}
		return walk()
	})
	if err != nil {
		return err
	}
	if err := r.damages(ctx, missing); err != nil {
		return err
	}
	return r.lease(ctx, &reached)
}

// damages reports the copies that are not good and have none that is, and what is
// missing where a name reaches.
func (r *rebuilder) damages(ctx context.Context, missing map[oci.Digest]*Damage) error {
	rows, err := r.db.Objects(ctx, slices.Collect(maps.Keys(r.bad)))
	if err != nil {
		return err
	}
	for digest, d := range r.bad {
		if rows[digest].Loc.Held() {
			continue
		}
		if m := missing[digest]; m != nil {
			d.Names = m.Names
			delete(missing, digest)
		}
		r.report.Damaged = append(r.report.Damaged, d)
	}
	for _, m := range missing {
		r.report.Damaged = append(r.report.Damaged, *m)
	}
	sortDamage(r.report.Damaged)
	return nil
}

// lease keeps the objects that are not reached.
func (r *rebuilder) lease(ctx context.Context, reached *idSet) error {
	var b [12]byte
	rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	for last := int64(0); ; {
		var page []int64
		err := r.db.Write(ctx, func(tx *db.Tx) (err error) {
			if page, err = tx.HeldAfter(last, rebuildBatch); err != nil {
				return err
			}
			held := slices.DeleteFunc(slices.Clone(page), reached.has)
			if len(held) == 0 {
				return nil
			}
			if r.report.Kept == 0 {
				l := db.Lease{ID: id, Kind: db.LeasePut, Created: tx.Now, Expires: tx.Now.Add(rebuildKeep), Note: "rebuild"}
				if err := tx.PutLease(l); err != nil {
					return err
				}
			}
			r.report.Kept += int64(len(held))
			return tx.HoldObjects(id, held)
		})
		if err != nil || len(page) < rebuildBatch {
			return err
		}
		last = page[len(page)-1]
	}
}

// countIngests counts what was under way. Its keys are lost with the catalog.
func (r *rebuilder) countIngests(context.Context) error {
	entries, err := r.list(ingestDir)
	for _, e := range entries {
		r.report.Ingests++
		r.report.Partial += sizeOf(e)
	}
	return err
}

// names makes the names that the newest changes tell of, and their history.
func (r *rebuilder) names(ctx context.Context) error {
	r.dropHalves()
	newest := map[string]int64{}
	for seq, n := range r.changes {
		newest[n.Name] = max(newest[n.Name], seq)
	}
	var lost []pack.Note
	for some := range slices.Chunk(slices.Sorted(maps.Keys(newest)), rebuildBatch) {
		err := r.db.Write(ctx, func(tx *db.Tx) error {
			gone, err := r.nameSome(tx, some, newest)
			lost = append(lost, gone...)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := r.removeLost(ctx, lost); err != nil {
		return err
	}
	return r.history(ctx)
}

// nameSome makes names, and returns the newest changes of those whose object is not
// here.
func (r *rebuilder) nameSome(tx *db.Tx, names []string, newest map[string]int64) (lost []pack.Note, err error) {
	var targets []oci.Digest
	for _, name := range names {
		if d := r.changes[newest[name]].New; d != "" {
			targets = append(targets, d)
		}
	}
	rows, err := tx.Objects(targets)
	if err != nil {
		return nil, err
	}
	var refs []db.RestoredRef
	for _, name := range names {
		n := r.changes[newest[name]]
		row, found := rows[n.New]
		switch {
		case n.New == "":
		case !found || !row.Loc.Held():
			lost = append(lost, n)
			r.report.LostNames = append(r.report.LostNames, LostName{name, n.New})
		default:
			refs = append(refs, db.RestoredRef{Name: name, Object: row.ID, Seq: n.Seq, Updated: n.When})
		}
	}
	r.report.Names += int64(len(refs))
	return lost, tx.RestoreRefs(refs)
}

// history writes the log of names.
func (r *rebuilder) history(ctx context.Context) error {
	seqs := slices.Sorted(maps.Keys(r.changes))
	r.report.Changes = int64(len(seqs))
	if len(seqs) == 0 && r.highest > 0 {
		return r.db.Write(ctx, func(tx *db.Tx) error { return tx.RestoreLog(nil, r.highest) })
	}
	for some := range slices.Chunk(seqs, rebuildBatch) {
		entries := make([]db.LogEntry, len(some))
		for i, seq := range some {
			n := r.changes[seq]
			entries[i] = db.LogEntry{
				Seq: n.Seq, Name: n.Name, Old: n.Old, New: n.New, At: n.When.Truncate(time.Millisecond), Why: n.Why,
				Keeps: n.Why != whyDelete && n.Why != whyEvict,
			}
		}
		if err := r.db.Write(ctx, func(tx *db.Tx) error { return tx.RestoreLog(entries, r.highest) }); err != nil {
			return err
		}
	}
	return nil
}
