package blobstore_test

import (
	"encoding/binary"
	"testing"

	"dist.example/blobstore"
	"dist.example/oci"
)

// benchStore is a closed store of n blobs of 4 KiB in packs.
func benchStore(b *testing.B, n int) string {
	b.Helper()
	dir := empty(b)
	s, err := blobstore.Open(b.Context(), dir, blobstore.Options{})
	must(b, err)
	defer s.Close()
	ses := begin(b, s, blobstore.SessionOptions{Note: "bench", Keep: 1 << 50})
	p := noise(1, 4096)
	for i := range n {
		binary.LittleEndian.PutUint64(p, uint64(i))
		put(b, ses, oci.MediaTypeLayerGzip, p)
	}
	must(b, ses.Commit(b.Context()))
	must(b, ses.Close())
	return dir
}

// benchBlobs is how many there are.
const benchBlobs = 100_000

// BenchmarkRebuild makes the catalog of blobs of 4 KiB anew.
func BenchmarkRebuild(b *testing.B) {
	dir := benchStore(b, benchBlobs)
	b.SetBytes(benchBlobs * 4096)
	b.ResetTimer()
	for range b.N {
		if r := rebuild(b, dir); r.Objects != benchBlobs {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(b.N*benchBlobs)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkCheck checks them all.
func BenchmarkCheck(b *testing.B) {
	s := open(b, benchStore(b, benchBlobs))
	b.SetBytes(benchBlobs * 4096)
	b.ResetTimer()
	for range b.N {
		if r := clean(b, s); r.Objects != benchBlobs {
			b.Fatalf("%+v", r)
		}
	}
	b.ReportMetric(float64(b.N*benchBlobs)/b.Elapsed().Seconds(), "records/s")
}
