package registryclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// manifestAbout is a small manifest about subject.
func manifestAbout(subject oci.Descriptor, note string) (oci.Descriptor, []byte) {
	data := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.example.x","config":{"mediaType":%q,"digest":%q,"size":2},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"note":%q}}`,
		oci.MediaTypeManifest, oci.MediaTypeEmpty, oci.DigestBytes([]byte("{}")), subject.MediaType, subject.Digest, subject.Size, note))
	return oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes(data), Size: int64(len(data))}, data
}

// Pushers that know nothing of each other, at a registry without conditions: what
// is lost is entered again. Time stands still while anybody works, so that nobody
// is slower than the others watch.
func TestPushersWithoutETagsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := emptyFake(), newPipeNet()
		s := &http.Server{Handler: f} //nolint:gosec // a test's
		go func() { _ = s.Serve(n) }()
		defer func() { _ = s.Shutdown(context.Background()) }()
		subject := f.addManifest("v1", oci.MediaTypeManifest, `{"schemaVersion":2}`)
		ref := oci.Reference{Registry: "localhost:5000", Repository: "team/app"}
		const pushers = 16
		errs := make(chan error)
		for i := range pushers {
			tr := &http.Transport{DialContext: n.dial, DisableCompression: true}
			defer tr.CloseIdleConnections()
			c := testClient(t, func(o *Options) { o.Transport, o.RetryBase = tr, 250*time.Millisecond })
			go func() {
				desc, data := manifestAbout(subject, fmt.Sprint(i))
				errs <- c.Repository(ref).ForPush().PushManifest(t.Context(), desc, data)
			}()
		}
		for range pushers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		found, err := parseReferrers(f.manifests[oci.ReferrersTag(subject.Digest)].data)
		if err != nil || len(found) != pushers {
			t.Errorf("%d of %d are entered, %v", len(found), pushers, err)
		}
	})
}

func TestAnEntryThatIsLostIsEnteredAgain(t *testing.T) {
	f := newFake(t)
	subject := f.addManifest("v1", oci.MediaTypeManifest, `{"schemaVersion":2}`)
	tag := oci.ReferrersTag(subject.Digest)
	theirs, _ := manifestAbout(subject, "theirs")
	f.hook = func(_ http.ResponseWriter, r *http.Request, n int) bool {
		if n == 2 && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, tag) {
			// Somebody who has read before puts what he knows.
			f.mu.Lock()
			defer f.mu.Unlock()
			f.addManifest(tag, oci.MediaTypeIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
				oci.MediaTypeIndex, theirs.MediaType, theirs.Digest, theirs.Size))
		}
		return false
	}
	ours, data := manifestAbout(subject, "ours")
	if err := f.repository(t, nil).ForPush().PushManifest(t.Context(), ours, data); err != nil {
		t.Fatal(err)
	}
	found, err := parseReferrers(f.manifests[tag].data)
	if err != nil || len(found) != 2 || found[0].Digest != theirs.Digest || found[1].Digest != ours.Digest {
		t.Errorf("%+v, %v", found, err)
	}
	if puts := f.requests("PUT " + repoPath + "manifests/" + tag); puts != 2 {
		t.Errorf("%d puts, want 2", puts)
	}
}

func TestAnIndexThatOthersChangeAllTheTimeIsGivenUp(t *testing.T) {
	f := newFake(t)
	subject := f.addManifest("v1", oci.MediaTypeManifest, `{"schemaVersion":2}`)
	tag := oci.ReferrersTag(subject.Digest)
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, tag) {
			w.WriteHeader(http.StatusPreconditionFailed)
			return true
		}
		return false
	}
	ours, data := manifestAbout(subject, "ours")
	err := f.repository(t, nil).ForPush().PushManifest(t.Context(), ours, data)
	if !errors.Is(err, content.ErrConflict) || !strings.Contains(err.Error(), tag) {
		t.Errorf("%v, want ErrConflict that names the tag", err)
	}
	if puts := f.requests("PUT " + repoPath + "manifests/" + tag); puts != maxEntryTries {
		t.Errorf("%d puts, want %d", puts, maxEntryTries)
	}
}

func FuzzParseReferrers(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := parseReferrers(data)
		if err != nil {
			return
		}
		for _, d := range found {
			if err := oci.ValidateDescriptor(d); err != nil {
				t.Error(err)
			}
		}
	})
}
