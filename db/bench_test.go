package db

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"dist.example/oci"
)

// BenchmarkOpenClose is what a process pays for the catalog before it does
// anything.
func BenchmarkOpenClose(b *testing.B) {
	dir := b.TempDir()
	openDB(b, dir, Options{}).Close()
	for b.Loop() {
		d, err := Open(context.Background(), dir, Options{})
		check(b, err)
		check(b, d.Close())
	}
}

// BenchmarkOpenCommitClose is the catalog's part of a put.
func BenchmarkOpenCommitClose(b *testing.B) {
	dir := b.TempDir()
	openDB(b, dir, Options{}).Close()
	n := 0
	for b.Loop() {
		d, err := Open(context.Background(), dir, Options{})
		check(b, err)
		n++
		read(b, d, func(tx *Tx) error {
			_, _, err := tx.Object(digest(n))
			return err
		})
		write(b, d, func(tx *Tx) error { return putLeased(tx, n) })
		check(b, d.Close())
	}
}

// putLeased is the transaction of a small put: row, pack, lease.
func putLeased(tx *Tx, n int) error {
	put, err := tx.PutObjects([]Present{{Digest: digest(n), Size: 1, Loc: LocPack, Pack: 1, Off: int64(n), Stored: 1, Kind: 1}})
	if err != nil {
		return err
	}
	if err := tx.GrowPack(Pack{ID: 1, State: PackOpen, End: int64(n), Live: 1}); err != nil {
		return err
	}
	id := fmt.Sprint("lease", n)
	if err := tx.PutLease(Lease{ID: id, Kind: LeasePut, Created: tx.Now, Expires: tx.Now.Add(time.Hour)}); err != nil {
		return err
	}
	return tx.HoldObjects(id, []int64{put[0].ID})
}

// BenchmarkCommit is one durable commit of one object.
func BenchmarkCommit(b *testing.B) {
	d := openDB(b, b.TempDir(), Options{})
	n := 0
	for b.Loop() {
		n++
		write(b, d, func(tx *Tx) error {
			_, err := tx.PutObjects([]Present{loose(n)})
			return err
		})
	}
}

// BenchmarkPutBatch writes batches of 10,000 objects that nobody knew, under a
// lease, durably. DESIGN asks for 150,000 rows a second.
func BenchmarkPutBatch(b *testing.B) {
	d := openDB(b, b.TempDir(), Options{})
	write(b, d, func(tx *Tx) error {
		return tx.PutLease(Lease{ID: "l", Kind: LeaseCommand, Created: tx.Now, Expires: tx.Now.Add(time.Hour)})
	})
	const size = 10_000
	n := 0
	var spent time.Duration
	batch := make([]Present, size)
	for b.Loop() {
		b.StopTimer()
		for i := range batch {
			n++
			batch[i] = Present{Digest: digest(n), Size: 4096, Loc: LocPack, Pack: 1, Off: int64(n) * 4160, Stored: 4096, Kind: 1, Media: "application/octet-stream"}
		}
		b.StartTimer()
		begin := time.Now()
		write(b, d, func(tx *Tx) error {
			put, err := tx.PutObjects(batch)
			if err != nil {
				return err
			}
			ids := make([]int64, len(put))
			for i, p := range put {
				ids[i] = p.ID
			}
			return tx.HoldObjects("l", ids)
		})
		spent += time.Since(begin)
	}
	b.ReportMetric(float64(n)/spent.Seconds(), "rows/s")
}

// BenchmarkObject is one look-up in a transaction of its own.
func BenchmarkObject(b *testing.B) {
	d := openDB(b, b.TempDir(), Options{})
	write(b, d, func(tx *Tx) error {
		_, err := tx.PutObjects([]Present{loose(1)})
		return err
	})
	for b.Loop() {
		read(b, d, func(tx *Tx) error {
			_, _, err := tx.Object(digest(1))
			return err
		})
	}
}

// BenchmarkTenProcesses commits from ten processes at once.
func BenchmarkTenProcesses(b *testing.B) {
	dir := b.TempDir()
	openDB(b, dir, Options{}).Close()
	const processes, lasts = 10, "2s"
	for b.Loop() {
		type result struct {
			out []byte
			err error
		}
		results := make(chan result, processes)
		for i := range processes {
			go func() {
				out, err := child(b, "commit", dir, fmt.Sprint(b.Name(), i, time.Now()), lasts).Output()
				results <- result{out, err}
			}()
		}
		var commits, worst int
		for range processes {
			r := <-results
			check(b, r.err)
			var n, w int
			_, err := fmt.Fscan(strings.NewReader(string(r.out)), &n, &w)
			check(b, err)
			commits, worst = commits+n, max(worst, w)
		}
		b.ReportMetric(float64(commits)/2, "commits/s")
		b.ReportMetric(float64(worst)/1000, "worst-ms")
	}
}

// BenchmarkAllObjects lists 100,000 objects in the order of deletion.
func BenchmarkAllObjects(b *testing.B) {
	d := openDB(b, b.TempDir(), Options{})
	const size = 100_000
	write(b, d, func(tx *Tx) error {
		var edges []Edge
		batch := make([]Present, size)
		for i := range batch {
			batch[i] = loose(i)
			edges = append(edges, Edge{int64(1 + i/100*100), int64(1 + i), oci.RoleLayer})
		}
		if _, err := tx.PutObjects(batch); err != nil {
			return err
		}
		return tx.PutEdges(edges)
	})
	for b.Loop() {
		read(b, d, func(tx *Tx) error {
			for _, err := range tx.AllObjects() {
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
}
