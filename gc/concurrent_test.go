package gc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// Writers that make, share and drop images while collections run one after the other:
// what a name stands for is always whole, and in the end only that is here.
func TestCollectionsBesideWriters(t *testing.T) {
	const writers, rounds = 4, 12
	s := open(t)
	var (
		done    atomic.Bool
		wg, all sync.WaitGroup
	)
	all.Go(func() {
		for i := 0; !done.Load(); i++ {
			if _, err := gc.Run(ctx, s, gc.Options{Compact: i%2 == 0}); err != nil {
				t.Errorf("collect: %v", err)
				return
			}
		}
	})
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for i := range rounds {
				if err := oneRound(s, w, i, r); err != nil {
					t.Errorf("writer %d, round %d: %v", w, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	done.Store(true)
	all.Wait()
	run(t, s, gc.Options{Compact: true})
	reached := map[oci.Digest]bool{}
	for n, err := range s.Names(ctx, "") {
		must(t, err)
		reached[n.Target.Digest] = true
		children, err := s.Children(ctx, n.Target.Digest)
		must(t, err)
		for _, c := range children {
			reached[c.Digest] = true
		}
	}
	left := 0
	for i, err := range s.All(ctx) {
		must(t, err)
		if left++; !reached[i.Digest] {
			t.Errorf("%s is here, and no name reaches it", i.Digest)
		}
	}
	if left != len(reached) {
		t.Errorf("%d objects are here, names reach %d", left, len(reached))
	}
}

// oneRound puts an image of layers that others have, too, names it, looks at it, and
// drops an older one.
func oneRound(s *blobstore.Store, w, i int, r *rand.Rand) error {
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "test"})
	if err != nil {
		return err
	}
	defer ses.Close()
	m := oci.Manifest{MediaType: oci.MediaTypeManifest}
	m.SchemaVersion = 2
	add := func(media string, p []byte) oci.Descriptor {
		info, perr := ses.Put(ctx, blobstore.Blob{Data: p, MediaType: media})
		err = errors.Join(err, perr)
		return oci.Descriptor{MediaType: media, Digest: info.Digest, Size: int64(len(p))}
	}
	var layers [][]byte
	for range 3 {
		seed := r.IntN(12)
		layers = append(layers, noise([]int{1000, 50 << 10, 400 << 10}[seed%3], uint64(seed)))
	}
	m.Config = add(oci.MediaTypeImageConfig, fmt.Appendf(nil, `{"os":"linux","author":"%d %d"}`, w, i))
	for _, l := range layers {
		m.Layers = append(m.Layers, add(oci.MediaTypeLayer, l))
	}
	p, merr := json.Marshal(m)
	d := add(oci.MediaTypeManifest, p)
	if err = errors.Join(err, merr); err != nil {
		return err
	}
	name, err := oci.ParseReference(fmt.Sprintf("example.com/w%d:%d", w, i%3))
	if err != nil {
		return err
	}
	change := content.NameChange{Reference: name, Target: d.Digest, Why: "test"}
	if err := ses.Commit(ctx, change); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, c := range append(m.Layers, m.Config, d) {
		if err := s.Check(ctx, c.Digest); err != nil {
			return fmt.Errorf("after the commit: %w", err)
		}
	}
	if i%3 == 2 {
		return s.SetNames(ctx, content.NameChange{Reference: name, Why: "test"})
	}
	return nil
}
