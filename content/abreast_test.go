package content_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"dist.example/content"
	"dist.example/oci"
)

// stuck is a target in which pushes of one kind stand still until they are let go.
type stuck struct {
	*target
	manifests bool // stand still, else blobs do
	goOn      chan struct{}

	mu       sync.Mutex
	standing int
}

func (s *stuck) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	if oci.HasSuccessors(desc.MediaType) == s.manifests {
		s.mu.Lock()
		s.standing++
		s.mu.Unlock()
		<-s.goOn
	}
	return s.target.Push(ctx, desc, r)
}

// What a copy has in memory and asks of a target at once does not grow with the
// index: not the manifests that wait for their blobs, not those that are written.
func TestCopyOfManyManifestsHasFewOfThemAtATime(t *testing.T) {
	for _, about := range []bool{false, true} {
		for _, manifests := range []bool{false, true} {
			t.Run(fmt.Sprintf("referrers=%v/manifests=%v", about, manifests), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { copyMany(t, about, manifests) })
			})
		}
	}
}

func copyMany(t *testing.T, about, manifests bool) {
	const many, jobs = 100, 2
	lib := newLibrary()
	root := lib.manifest(t, nil)
	var images []oci.Descriptor
	for i := range many {
		if about {
			lib.about(t, root, fmt.Sprint("signature ", i))
		} else {
			images = append(images, lib.manifest(t, nil, fmt.Sprint("layer ", i)))
		}
	}
	dst := &stuck{target: newTarget(), manifests: manifests, goOn: make(chan struct{})}
	if about { // the root is there, and does not stand still
		dst.closed, dst.held[root.Digest] = true, true
	} else {
		root = lib.index(t, images...)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := content.Copy(t.Context(), dst, lib, root, content.CopyOptions{Jobs: jobs, Referrers: true})
		ended <- err
	}()
	synctest.Wait()
	dst.mu.Lock()
	standing := dst.standing
	dst.mu.Unlock()
	lib.source.mu.Lock()
	fetched := 0
	for _, f := range lib.fetched {
		if oci.DetectManifest(lib.blobs[f.digest]) == oci.MediaTypeManifest {
			fetched++
		}
	}
	lib.source.mu.Unlock()
	if standing != jobs || fetched == 0 || fetched > 2*jobs {
		t.Errorf("%d are written at once and %d manifests of %d waited for, with %d jobs", standing, fetched, many, jobs)
	}
	close(dst.goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
