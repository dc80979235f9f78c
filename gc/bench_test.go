package gc_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// objectsVar, in the environment, is how many objects the store of BenchmarkMillion has:
// 1000000 for what its name says, 100,000 if it is not there.
const objectsVar = "DIST_OBJECTS"

const layersEach = 8 // and a configuration and a manifest

// many makes a store with images of ten objects each, every second of which has a name
// that is gone, and returns its folder and how many objects it has.
func many(b *testing.B) (dir string, n int) {
	b.Helper()
	n = 100_000
	if v := os.Getenv(objectsVar); v != "" {
		var err error
		n, err = strconv.Atoi(v)
		must(b, err)
	}
	dir = filepath.Join(b.TempDir(), "store")
	s, err := blobstore.Open(ctx, dir, blobstore.Options{Create: true})
	must(b, err)
	defer s.Close()
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "bench"})
	must(b, err)
	defer ses.Close()
	var names, gone []content.NameChange
	began := time.Now()
	for i := range n / (layersEach + 2) {
		m := oci.Manifest{MediaType: oci.MediaTypeManifest}
		m.SchemaVersion = 2
		m.Config = put(b, ses, oci.MediaTypeImageConfig, fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","author":"%d"}`, i))
		for k := range layersEach {
			m.Layers = append(m.Layers, put(b, ses, oci.MediaTypeLayer, noise(100, uint64(i*layersEach+k))))
		}
		p, err := json.Marshal(m)
		must(b, err)
		d := put(b, ses, oci.MediaTypeManifest, p)
		name := ref(b, fmt.Sprintf("example.com/many/r%d:v1", i))
		names = append(names, content.NameChange{Reference: name, Target: d.Digest, Why: "bench"})
		if i%2 == 0 {
			gone = append(gone, content.NameChange{Reference: name, Why: "bench"})
		}
	}
	must(b, ses.Commit(ctx, names...))
	must(b, s.SetNames(ctx, gone...))
	b.Logf("%d objects put in %s", n, time.Since(began).Round(time.Second))
	return dir, n
}

// peak runs fn and says how many MiB of heap it had at most.
func peak(fn func()) float64 {
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var top atomic.Uint64
	done, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			top.Store(max(top.Load(), m.HeapInuse))
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	fn()
	close(done)
	<-stopped
	return float64(top.Load()-min(top.Load(), before.HeapInuse)) / (1 << 20)
}

// BenchmarkMillion plans, collects, compacts and rebuilds a store of DIST_OBJECTS objects,
// half of which nothing holds. Run it with -benchtime 1x.
func BenchmarkMillion(b *testing.B) {
	dir, n := many(b)
	reopen := func(b *testing.B) *blobstore.Store {
		s, err := blobstore.Open(ctx, dir, blobstore.Options{})
		must(b, err)
		b.Cleanup(func() { s.Close() })
		return s
	}
	b.Run("mark", func(b *testing.B) {
		s := reopen(b)
		b.ResetTimer()
		for range b.N {
			must(b, gc.Mark(ctx, s, strict()))
		}
	})
	b.Run("dry-run", func(b *testing.B) {
		s := reopen(b)
		b.ResetTimer()
		mib := peak(func() {
			for range b.N {
				p, err := gc.NewPlan(ctx, s, strict())
				must(b, err)
				if p.Garbage.Objects != int64(n/2) {
					b.Fatalf("planned %+v", p.Garbage)
				}
			}
		})
		b.ReportMetric(mib, "MiB-heap")
	})
	b.Run("list-first", func(b *testing.B) {
		s := reopen(b)
		b.ResetTimer()
		for range b.N {
			for _, err := range s.All(ctx) {
				must(b, err)
				break
			}
		}
	})
	b.Run("collect", func(b *testing.B) {
		if b.N > 1 {
			b.Skip("once")
		}
		s := reopen(b)
		b.ResetTimer()
		var r gc.Report
		mib := peak(func() {
			var err error
			r, err = gc.Run(ctx, s, gc.Options{Compact: true})
			must(b, err)
		})
		b.StopTimer()
		var dead int64
		for _, p := range r.Plan.Packs {
			dead += p.Dead
		}
		b.ReportMetric(mib, "MiB-heap")
		b.ReportMetric(float64(r.Freed)/float64(dead), "freed/dead")
		b.ReportMetric(float64(r.Doomed.Objects)/b.Elapsed().Seconds(), "objects/s")
	})
	b.Run("rebuild", func(b *testing.B) {
		for range b.N {
			r, err := blobstore.Rebuild(ctx, dir, blobstore.RebuildOptions{})
			must(b, err)
			b.ReportMetric(float64(r.Objects)/b.Elapsed().Seconds(), "objects/s")
		}
	})
}
