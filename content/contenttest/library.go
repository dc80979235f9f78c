package contenttest

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// Stock is what a library under test has to hold.
type Stock struct {
	// Blobs are manifests and others, what a manifest is made of before it.
	Blobs []Blob
	// Names are full references, and what they stand for.
	Names map[string]oci.Descriptor
}

// Blob is one blob of a Stock.
type Blob struct {
	oci.Descriptor
	Data []byte
}

// Library runs every promise of content.Library, each against what open makes of a
// Stock. What open made is torn down by its own t.Cleanup.
func Library(t *testing.T, open func(t *testing.T, s Stock) content.Library) {
	for _, p := range []struct {
		name  string
		check func(l *shelves)
	}{
		{"NamesAreListedInOrderAndResolved", namesAreListed},
		{"WhatIsHeldIsDescribedAndRead", heldIsRead},
		{"WhatIsNotHeldIsNotFound", othersAreNotFound},
		{"ReferrersAreDescribed", referrersAreDescribed},
		{"ARepositoryHasWhatItsNamesReach", repositoriesHaveTheirOwn},
		{"ManyMayReadAtOnce", manyReadAtOnce},
	} {
		t.Run(p.name, func(t *testing.T) {
			l := stock(t)
			l.Library = open(t, l.holds)
			p.check(l)
		})
	}
}

// shelves is a library under test, and what it has to hold: two images in an index
// that lists a third, which is absent; an image in a repository of its own that
// shares a layer with them; a referrer of the first image.
type shelves struct {
	fixture
	content.Library
	holds                                           Stock
	shared, only, index, image, other, note, absent oci.Descriptor
}

func stock(t *testing.T) *shelves {
	l := &shelves{fixture: fixture{T: t}, holds: Stock{Names: map[string]oci.Descriptor{}}}
	l.shared = l.add(oci.MediaTypeLayer, noise(1, 300<<10))
	l.only = l.add(oci.MediaTypeLayerGzip, noise(2, 2000))
	l.image = l.build("amd64", l.shared)
	arm := l.build("arm64", l.shared)
	l.other = l.build("riscv64", l.shared, l.only)
	l.absent = absent(oci.MediaTypeManifest, 1)
	l.index = l.add(oci.MediaTypeIndex, asJSON(indexOf(l.image, arm, l.absent)))
	m := manifestOf(l.add(oci.MediaTypeEmpty, []byte("{}")))
	m.Subject, m.ArtifactType, m.Annotations = &l.image, sbomType, map[string]string{"note": "a"}
	l.note = l.add(oci.MediaTypeManifest, asJSON(m))
	l.note.ArtifactType, l.note.Annotations = sbomType, m.Annotations
	l.holds.Names["quay.io/x/b:v1"], l.holds.Names["docker.io/library/a:v1"] = l.other, l.index
	l.holds.Names["docker.io/library/a:v10"] = l.image
	return l
}

func (l *shelves) add(mediaType string, data []byte) oci.Descriptor {
	d := descriptor(mediaType, data)
	l.holds.Blobs = append(l.holds.Blobs, Blob{d, data})
	return d
}

func (l *shelves) build(architecture string, layers ...oci.Descriptor) oci.Descriptor {
	config := l.add(oci.MediaTypeImageConfig, asJSON(map[string]any{"architecture": architecture, "os": "linux"}))
	return l.add(oci.MediaTypeManifest, asJSON(manifestOf(config, layers...)))
}

func namesAreListed(l *shelves) {
	for prefix, want := range map[string][]string{
		"":                       slices.Sorted(maps.Keys(l.holds.Names)),
		"docker.io/library/a:v1": {"docker.io/library/a:v1", "docker.io/library/a:v10"},
		"quay.io/":               {"quay.io/x/b:v1"},
		"quay.io/z":              nil,
	} {
		var got []string
		for n, err := range l.Library.Names(l.Context(), prefix) {
			l.must(err)
			s := n.Reference.String()
			got = append(got, s)
			if desc := l.holds.Names[s]; n.Target.Digest != desc.Digest || n.Target.Size != desc.Size || n.Target.MediaType != desc.MediaType {
				l.Errorf("%s stands for %+v", s, n.Target)
			}
		}
		if !slices.Equal(got, want) {
			l.Errorf("Names(%q) lists %q, want %q", prefix, got, want)
		}
	}
	for s, want := range l.holds.Names {
		got, err := l.Library.Resolve(l.Context(), l.ref(s))
		l.must(err)
		if got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
			l.Errorf("%s resolves to %+v, want %+v", s, got, want)
		}
	}
	for range l.Library.Names(l.Context(), "") {
		break
	}
}

func heldIsRead(l *shelves) {
	for _, b := range l.holds.Blobs {
		info, err := l.Library.Info(l.Context(), b.Digest)
		l.must(err)
		if info.Digest != b.Digest || info.Size != b.Size || info.MediaType != b.MediaType || info.Place == "damaged" {
			l.Errorf("Info tells of %+v, want %+v", info, b.Descriptor)
		}
		// Only the digest matters.
		ra, err := l.Library.ReaderAt(l.Context(), oci.Descriptor{Digest: b.Digest, Size: 17, MediaType: "text/plain"})
		l.must(err)
		l.readAtBounds(ra, b.Data)
		got, err := io.ReadAll(io.NewSectionReader(ra, 0, ra.Size()))
		l.must(err)
		if !bytes.Equal(got, b.Data) {
			l.Errorf("%s is given other bytes", b.Digest)
		}
		l.must(ra.Close())
		l.must(ra.Close())
	}
}

func othersAreNotFound(l *shelves) {
	for _, d := range []oci.Digest{l.absent.Digest, oci.SHA512.FromString("nobody put this")} {
		_, err := l.Library.Info(l.Context(), d)
		l.want(content.ErrNotFound, err)
		_, err = l.Library.ReaderAt(l.Context(), oci.Descriptor{Digest: d, Size: -1})
		l.want(content.ErrNotFound, err)
		in, err := l.Library.InRepository(l.Context(), "docker.io/library/a", d)
		l.must(err)
		if in[0] {
			l.Errorf("%s is in a repository", d)
		}
	}
	for _, s := range []string{"docker.io/library/a:V1", "docker.io/library/a:v", "quay.io/x/a:v1"} {
		_, err := l.Library.Resolve(l.Context(), l.ref(s))
		l.want(content.ErrNotFound, err)
	}
}

func referrersAreDescribed(l *shelves) {
	for _, c := range []struct {
		subject      oci.Descriptor
		artifactType string
		want         bool
	}{{l.image, "", true}, {l.image, sbomType, true}, {l.image, signatureType, false}, {l.index, "", false}, {l.absent, "", false}} {
		n := 0
		for got, err := range l.Library.Referrers(l.Context(), c.subject.Digest, c.artifactType) {
			l.must(err)
			n++
			if d := l.note; got.Digest != d.Digest || got.MediaType != d.MediaType || got.Size != d.Size || got.ArtifactType != d.ArtifactType || !maps.Equal(got.Annotations, d.Annotations) {
				l.Errorf("Referrers gives %+v, want %+v", got, d)
			}
		}
		if (n == 1) != c.want || n > 1 {
			l.Errorf("%d referrers of %s with type %q", n, c.subject.Digest, c.artifactType)
		}
	}
}

func repositoriesHaveTheirOwn(l *shelves) {
	digests := []oci.Digest{l.shared.Digest, l.index.Digest, l.image.Digest, l.note.Digest, l.other.Digest, l.only.Digest}
	for repo, want := range map[string][]bool{
		"docker.io/library/a": {true, true, true, true, false, false},
		"quay.io/x/b":         {true, false, false, false, true, true},
		"quay.io/x":           {false, false, false, false, false, false},
		"":                    {false, false, false, false, false, false},
	} {
		got, err := l.Library.InRepository(l.Context(), repo, digests...)
		l.must(err)
		if !slices.Equal(got, want) {
			l.Errorf("%q has %v, want %v", repo, got, want)
		}
		for i, d := range digests {
			if found := l.repositories(d); want[i] && !slices.Contains(found, repo) {
				l.Errorf("%s may be in %q, not in %q", d, found, repo)
			}
		}
	}
	if found := l.repositories(oci.DigestBytes([]byte("nobody put this"))); found != nil {
		l.Errorf("what is not held may be in %q", found)
	}
}

// repositories are those that may have d.
func (l *shelves) repositories(d oci.Digest) (found []string) {
	for repo, err := range l.RepositoriesOf(l.Context(), d) {
		l.must(err)
		if slices.Contains(found, repo) {
			l.Errorf("%q is listed twice for %s", repo, d)
		}
		found = append(found, repo)
	}
	return found
}

func manyReadAtOnce(l *shelves) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, b := range l.holds.Blobs {
				ra, err := l.Library.ReaderAt(l.Context(), b.Descriptor)
				if err != nil {
					l.Error(err)
					return
				}
				got, err := io.ReadAll(io.NewSectionReader(ra, 0, ra.Size()))
				if err != nil || !bytes.Equal(got, b.Data) {
					l.Errorf("%s is given other bytes: %v", b.Digest, err)
				}
				if err := ra.Close(); err != nil {
					l.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
