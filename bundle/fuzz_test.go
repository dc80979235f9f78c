package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), "v1")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+oci.MediaTypeManifest+`","digest":"`+someDigest+`","size":0,"annotations":{"org.opencontainers.image.ref.name":"v1","io.containerd.image.name":"docker.io/library/x:v1"}}],"x":1}`), "x:v1")
	f.Add([]byte(`{"schemaVersion":2,"manifests":null}`), "")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		entries, err := parseListing(data)
		if err != nil {
			return
		}
		_ = labels(entries)
		if e, err := pick(entries, place{path: "p", name: name}); err == nil && oci.ValidateDescriptor(e.Descriptor) != nil {
			t.Fatalf("picked %+v", e)
		}
		d := oci.Describe(oci.MediaTypeManifest, []byte("new"))
		full := oci.Reference{Registry: "docker.io", Repository: "library/fuzz", Tag: "v1"}
		out, err := addTo(data, []oci.Descriptor{listed(d, full, "v1")})
		if err != nil {
			return
		}
		after, err := parseListing(out)
		if err != nil {
			t.Fatalf("the list that was written: %v", err)
		}
		if e, err := pick(after, place{name: full.String()}); err != nil || e.Digest != d.Digest {
			t.Fatalf("what was added is not found: %+v, %v", e, err)
		}
		if again, err := addTo(out, []oci.Descriptor{listed(d, full, "v1")}); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("adding twice changes the list: %v", err)
		}
	})
}

func FuzzPlace(f *testing.F) {
	for _, s := range []string{"dir", "dir:v1", "dir:x/y:v1@" + someDigest, "@" + someDigest, ":", "a:b:c", `C:\dir:v1`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if err != nil {
			return
		}
		if p.path == "" {
			t.Fatalf("%q has no path", s)
		}
		if _, tag, err := p.names(oci.Reference{}); err != nil || (p.name != "" && !isReference(p.name) && tag != p.name) {
			t.Fatalf("%q is named %q, %v", s, tag, err)
		}
	})
}

func FuzzDockerManifest(f *testing.F) {
	f.Add([]byte(`[{"Config":"c.json","RepoTags":null,"Layers":["l/layer.tar"]}]`))
	f.Add([]byte(`[{"config":"../c","RepoTags":["x:v1","::"],"Layers":null}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		images, err := parseDockerManifest(data)
		if err != nil {
			return
		}
		for _, i := range images {
			if len(i.listed(oci.Describe(oci.MediaTypeManifest, nil))) == 0 {
				t.Fatalf("%+v is listed nowhere", i)
			}
		}
	})
}

// FuzzArchive reads whatever claims to be an archive, in both forms.
func FuzzArchive(f *testing.F) {
	seed := func(files ...string) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := 0; i < len(files); i += 2 {
			h := &tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644}
			if files[i+1] == "" {
				h.Typeflag, h.Linkname = tar.TypeSymlink, "../x"
			}
			if err := w.WriteHeader(h); err != nil {
				f.Fatal(err)
			}
			_, _ = w.Write([]byte(files[i+1]))
		}
		_ = w.Close()
		f.Add(b.Bytes())
	}
	seed("oci-layout", `{"imageLayoutVersion":"1.0.0"}`, "index.json", `{"schemaVersion":2,"manifests":[]}`)
	seed("c.json", `{"rootfs":{"diff_ids":["`+someDigest+`"]}}`, "a/layer.tar", "", "x", "content", "manifest.json", `[{"Config":"c.json","Layers":["a/layer.tar"]}]`)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readArchive(t.Context(), bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for name, m := range a.members {
			if !m.sparse && m.link == "" && (m.off < 0 || m.size < 0 || m.size > int64(len(data))-m.off) {
				t.Fatalf("%s lies at %d, %d bytes of %d", name, m.off, m.size, len(data))
			}
		}
		for _, as := range []func(context.Context, *archive) (shelf, error){ociShelf, dockerOrOCIShelf} {
			if sh, err := as(t.Context(), a); err == nil {
				readFuzzed(t, sh)
			}
		}
	})
}

// readFuzzed reads what it can of an archive. What is fetched is what it should be.
func readFuzzed(t *testing.T, sh shelf) {
	surveyFuzzed(t, sh)
	src, err := newSource(place{path: "p"}, sh)
	if err != nil {
		return
	}
	_, root, err := src.Image(t.Context())
	if err != nil {
		return
	}
	data, err := content.ReadAll(t.Context(), src, root, oci.MaxManifestSize)
	if err == nil && root.Digest.Algorithm() == oci.SHA256 && oci.DigestBytes(data) != root.Digest {
		t.Fatalf("%s is given other bytes", root.Digest)
	}
	for range src.Referrers(t.Context(), root.Digest, "") {
		continue
	}
}

// surveyFuzzed makes a view of an archive. Whatever has a name is in its repository.
func surveyFuzzed(t *testing.T, sh shelf) {
	entries, err := readListing(sh)
	if err != nil {
		return
	}
	s := surveyor{shelf: sh, nodes: map[oci.Digest]*node{}}
	if err := s.survey(t.Context(), entries); err != nil {
		return
	}
	v, err := s.arrange(entries, oci.Reference{Registry: "localhost", Repository: "x"}, func(string) {})
	if err != nil {
		return
	}
	for _, n := range v.names {
		i, found := slices.BinarySearch(v.repos, n.Reference.Name())
		if _, in := slices.BinarySearch(v.nodes[n.Target.Digest].in, i); !found || !in {
			t.Fatalf("%s is not in its repository", n.full)
		}
		if _, found := v.find(n.full); !found {
			t.Fatalf("%s is not found", n.full)
		}
	}
	for d := range v.nodes {
		if _, err := oci.ParseDigest(d.String()); err != nil {
			t.Fatal(err)
		}
	}
}
