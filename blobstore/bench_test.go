package blobstore_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"dist.example/blobstore"
	"dist.example/oci"
)

// text is n bytes that shrink to about a third, like the metadata of packages.
func text(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	words := []string{"name", "version", "depends", "sha256", "provides", "license", "description", "home", "size", "lib"}
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%q: \"%s-%d\",\n", words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(1000))
	}
	return b.Bytes()[:n]
}

// BenchmarkSmallIngest puts blobs of 2 to 4 KiB through a session; they are
// durable when it ends.
func BenchmarkSmallIngest(b *testing.B) {
	for name, kind := range map[string]struct {
		mediaType string
		make      func(uint64, int) []byte
	}{"raw": {oci.MediaTypeOctets, noise}, "zstd": {oci.MediaTypeJSON, text}} {
		b.Run(name, func(b *testing.B) {
			s := open(b, empty(b))
			base := kind.make(1, 4096)
			ses := begin(b, s, blobstore.SessionOptions{Note: "bench"})
			b.ResetTimer()
			for i := range b.N {
				p := base[:2048+i*37%2048]
				copy(p, fmt.Sprintf("%016x", i)) // Put has done with the one before
				put(b, ses, kind.mediaType, p)
			}
			must(b, ses.Commit(context.Background()))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
		})
	}
}

// BenchmarkLargeIngest writes a blob of 256 MiB, durably.
func BenchmarkLargeIngest(b *testing.B) {
	const size = 256 << 20
	p := noise(1, 4<<20)
	s := open(b, empty(b))
	b.SetBytes(size)
	b.ResetTimer()
	for i := range b.N {
		ses := begin(b, s, blobstore.SessionOptions{Note: "bench"})
		o := ingest(nil)
		o.Key, o.Expected, o.Total = "", "", size
		w, err := ses.Writer(context.Background(), o)
		must(b, err)
		copy(p, fmt.Sprintf("%016x", i))
		for range size / len(p) {
			_, err := w.Write(p)
			must(b, err)
		}
		info, err := w.Commit(context.Background())
		must(b, err)
		must(b, ses.Commit(context.Background()))
		must(b, ses.Close())
		b.StopTimer()
		must(b, s.Delete(context.Background(), info.Digest))
		b.StartTimer()
	}
}

// BenchmarkRandomRead reads blobs of 2 KB out of packs, verified.
func BenchmarkRandomRead(b *testing.B) {
	const blobs, size = 20_000, 2048
	s := open(b, empty(b))
	ses := begin(b, s, blobstore.SessionOptions{Note: "bench"})
	descs := make([]oci.Descriptor, blobs)
	for i := range descs {
		descs[i] = put(b, ses, oci.MediaTypeOctets, noise(uint64(i), size))
	}
	must(b, ses.Commit(context.Background()))
	b.Run("one", func(b *testing.B) {
		for i := range b.N {
			must(b, read(s, descs[i*7919%blobs]))
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
	b.Run("parallel", func(b *testing.B) {
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := read(s, descs[int(n.Add(1))*7919%blobs]); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
}

// BenchmarkOpenClose is what every command pays.
func BenchmarkOpenClose(b *testing.B) {
	dir := empty(b)
	for b.Loop() {
		s, err := blobstore.Open(context.Background(), dir, blobstore.Options{})
		must(b, err)
		must(b, s.Close())
	}
}
