package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dist.example/oci"
)

const benchBlob = 2048

// BenchmarkAppend hashes and appends blobs of 2 KB, as an ingest does before
// its fdatasync.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name  string
		media string
		make  func(int, uint64) []byte
	}{
		{"zstd", oci.MediaTypeJSON, blob},
		{"raw", oci.MediaTypeLayerGzip, noise},
		{"noise", oci.MediaTypeOctets, noise},
	} {
		b.Run(c.name, func(b *testing.B) {
			var blobs [64][]byte
			for i := range blobs {
				blobs[i] = c.make(benchBlob, uint64(i))
			}
			e, buf := NewEncoder(), make([]byte, 0, 8<<20)
			defer e.Release()
			b.ReportAllocs()
			b.SetBytes(benchBlob)
			for i := range b.N {
				if len(buf) > 4<<20 {
					buf = buf[:0]
				}
				p := blobs[i%len(blobs)]
				sum := sha256.Sum256(p)
				var err error
				buf, _, err = e.AppendBlob(buf, oci.Digest("sha256:"+hex.EncodeToString(sum[:])), c.media, p)
				if err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b)
		})
	}
}

func perSecond(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s") }

// benchPack is a pack of 20,000 blobs on disk.
func benchPack(b *testing.B, media string, content func(int, uint64) []byte) (*os.File, []Record) {
	b.Helper()
	e := NewEncoder()
	defer e.Release()
	file, recs := EncodeHeader(testHeader), []Record(nil)
	for i := range 20000 {
		p := content(benchBlob, uint64(i))
		out, rec, err := e.AppendBlob(file, oci.DigestBytes(p), media, p)
		if err != nil {
			b.Fatal(err)
		}
		file, recs = out, append(recs, rec)
	}
	name := filepath.Join(b.TempDir(), "1.pack")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f, recs
}

// BenchmarkReadBlob reads verified blobs of 2 KB all over a pack.
func BenchmarkReadBlob(b *testing.B) {
	for _, c := range []struct {
		name  string
		media string
		make  func(int, uint64) []byte
	}{
		{"zstd", oci.MediaTypeJSON, blob},
		{"raw", oci.MediaTypeLayerGzip, noise},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, recs := benchPack(b, c.media, c.make)
			b.ReportAllocs()
			b.SetBytes(benchBlob)
			b.ResetTimer()
			for i := range b.N {
				if _, err := ReadBlob(f, recs[i*7919%len(recs)]); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b)
		})
	}
}

// BenchmarkScan walks headers, as a rebuild does.
func BenchmarkScan(b *testing.B) {
	f, recs := benchPack(b, oci.MediaTypeLayerGzip, noise)
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		n := 0
		for _, err := range Scan(f, info.Size(), info.Size()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != len(recs) {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.N*len(recs))/b.Elapsed().Seconds(), "records/s")
}

// The example appends a blob, writes the pack and reads the blob back without
// any catalog.
func Example() {
	e := NewEncoder()
	defer e.Release()
	file := EncodeHeader(Header{ID: 1})
	p := []byte("hello")
	file, _, err := e.AppendBlob(file, oci.DigestBytes(p), "text/plain", p)
	if err != nil {
		panic(err)
	}
	r := bytes.NewReader(file)
	for entry, err := range Scan(r, r.Size(), r.Size()) {
		if err != nil {
			panic(err)
		}
		p, err := ReadBlob(r, entry.Record)
		media, _ := MediaOfHint(entry.MediaHint)
		fmt.Println(media, string(p), err)
	}
	// Output: text/plain hello <nil>
}
