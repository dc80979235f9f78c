package contenttest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

var partPromises = []promise{
	{"APartGrowsWithItsIngest", func(f *fixture) {
		data := noise(1, 3<<20)
		opts := content.IngestOptions{Key: "k", Expected: oci.DigestBytes(data), Total: int64(len(data)), MediaType: octets}
		w := f.writer(opts)
		f.write(w, data[:len(data)/2])
		f.must(w.Close())
		part, err := f.Part(f.Context(), "k")
		f.must(err)
		defer part.Close()
		if part.Size() != int64(len(data)/2) {
			f.Fatalf("the part has %d bytes of %d written", part.Size(), len(data)/2)
		}
		f.reads(part, data[:len(data)/2])
		w = f.writer(opts)
		f.write(w, data[len(data)/2:])
		f.must(w.Close())
		f.reads(part, data)
		f.commit(f.writer(opts))
		f.reads(part, data)
	}},
	{"ASmallPartCanBeReadToo", func(f *fixture) {
		w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: oci.MediaTypeManifest})
		f.write(w, []byte("{}"))
		f.must(w.Close())
		part, err := f.Part(f.Context(), "k")
		f.must(err)
		f.reads(part, []byte("{}"))
		f.must(part.Close())
		f.must(part.Close())
		st, err := f.Status(f.Context(), "k")
		f.must(err)
		if st.MediaType != oci.MediaTypeManifest {
			f.Errorf("the ingest is of type %q", st.MediaType)
		}
	}},
	{"WithoutAnIngestThereIsNoPart", func(f *fixture) {
		_, err := f.Part(f.Context(), "k")
		f.want(content.ErrNotFound, err)
		w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.write(w, noise(1, 1<<20))
		f.commit(w)
		_, err = f.Part(f.Context(), "k")
		f.want(content.ErrNotFound, err)
	}},
}

// reads fails unless part holds data and ends there for now.
func (f *fixture) reads(part content.ReaderAt, data []byte) {
	f.Helper()
	got := make([]byte, len(data)+1)
	n, err := part.ReadAt(got, 0)
	if !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], data) {
		f.Fatalf("%d bytes can be read, want the %d that were written (%v)", n, len(data), err)
	}
}

var sightingPromises = []promise{
	{"TheLastSightingCounts", func(f *fixture) {
		ref := f.ref("docker.io/library/a:v1")
		_, err := f.Sighted(f.Context(), ref)
		f.want(content.ErrNotFound, err)
		for i := range 2 {
			s := sighting(ref, i)
			f.must(f.NoteSighting(f.Context(), s))
			got, err := f.Sighted(f.Context(), ref)
			f.must(err)
			if !sameSighting(got, s) {
				f.Errorf("Sighted gives %+v, want %+v", got, s)
			}
		}
		f.must(f.ForgetSighting(f.Context(), ref))
		_, err = f.Sighted(f.Context(), ref)
		f.want(content.ErrNotFound, err)
		f.must(f.ForgetSighting(f.Context(), ref))
	}},
	{"SightingsOfADigestAreThoseOfTheRepository", func(f *fixture) {
		want := []string{"docker.io/library/a:v1", "docker.io/library/a:v2"}
		for _, name := range append(want, "docker.io/library/a/b:v1", "docker.io/library/ab:v1", "example.com/a:v1") {
			f.must(f.NoteSighting(f.Context(), sighting(f.ref(name), 1)))
		}
		f.must(f.NoteSighting(f.Context(), sighting(f.ref("docker.io/library/a:other"), 2)))
		var got []string
		for s, err := range f.SightingsOf(f.Context(), "docker.io/library/a", sighting(oci.Reference{}, 1).Target.Digest) {
			f.must(err)
			got = append(got, s.Reference.String())
		}
		if !slices.Equal(got, want) {
			f.Errorf("SightingsOf lists %q, want %q", got, want)
		}
	}},
	{"ASightingIsNoNameAndKeepsNothing", func(f *fixture) {
		desc, _ := f.image(1)
		ref := f.ref("docker.io/library/a:v1")
		f.must(f.NoteSighting(f.Context(), content.Sighting{Reference: ref, Target: desc, At: time.UnixMilli(1)}))
		_, err := f.Resolve(f.Context(), ref)
		f.want(content.ErrNotFound, err)
		f.must(f.Delete(f.Context(), desc.Digest))
	}},
}

func sighting(ref oci.Reference, i int) content.Sighting {
	target := oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: oci.DigestBytes([]byte{byte(i)}), Size: int64(i)}
	return content.Sighting{Reference: ref, Target: target, At: time.UnixMilli(1_700_000_000_000 + int64(i))}
}

func sameSighting(a, b content.Sighting) bool {
	return a.Reference == b.Reference && a.At.Equal(b.At) && a.Target.Digest == b.Target.Digest &&
		a.Target.Size == b.Target.Size && a.Target.MediaType == b.Target.MediaType
}
