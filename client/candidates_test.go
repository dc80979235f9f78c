package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// crowd is a place where no end of manifests is about each other one.
type crowd struct {
	blobs   map[oci.Digest][]byte
	layers  func(n int) []oci.Descriptor // of the manifest number n
	listed  int
	fetched int
}

func (c *crowd) put(mediaType string, data []byte) oci.Descriptor {
	d := oci.Describe(mediaType, data)
	c.blobs[d.Digest] = data
	return d
}

func (c *crowd) Fetch(_ context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	c.fetched++
	data, ok := c.blobs[desc.Digest]
	if !ok {
		return nil, content.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (c *crowd) Referrers(_ context.Context, subject oci.Digest, _ string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		for ; ; c.listed++ {
			m := oci.Manifest{
				MediaType: oci.MediaTypeManifest, Config: c.put(oci.MediaTypeEmpty, []byte("{}")), Layers: c.layers(c.listed),
				Subject:     &oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: subject, Size: 2},
				Annotations: map[string]string{"number": fmt.Sprint(c.listed)},
			}
			m.SchemaVersion = 2
			data, desc, err := oci.Encode(oci.MediaTypeManifest, m)
			c.blobs[desc.Digest] = data
			if !yield(desc, err) {
				return
			}
		}
	}
}

func TestAFloodOfSignaturesEnds(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		layers             func(c *crowd) func(n int) []oci.Descriptor
		candidates, listed int // at most
		fetched            int // blobs and manifests, at most
	}{
		"a signature in each manifest": {func(c *crowd) func(int) []oci.Descriptor {
			return func(n int) []oci.Descriptor {
				return []oci.Descriptor{c.put(sign.MediaTypeBundle, fmt.Appendf(nil, `{"n":%d}`, n))}
			}
		}, sign.MaxCandidates, sign.MaxCandidates, 2 * sign.MaxCandidates},
		"many signatures in one manifest": {func(c *crowd) func(int) []oci.Descriptor {
			return func(n int) (all []oci.Descriptor) {
				for i := range 1000 {
					all = append(all, c.put(sign.MediaTypePayload, fmt.Appendf(nil, `{"n":%d}`, n*1000+i)))
				}
				return all
			}
		}, sign.MaxCandidates, 1, 1 + sign.MaxCandidates},
		"no signatures at all": {func(c *crowd) func(int) []oci.Descriptor {
			return func(int) []oci.Descriptor { return []oci.Descriptor{c.put("text/plain", []byte("hello"))} }
		}, 0, maxCarriers, maxCarriers},
		"signatures that are too large are not asked for": {func(*crowd) func(int) []oci.Descriptor {
			return func(n int) []oci.Descriptor {
				return []oci.Descriptor{{MediaType: sign.MediaTypeBundle, Digest: oci.DigestBytes(fmt.Append(nil, n)), Size: sign.MaxEnvelope + 1}}
			}
		}, sign.MaxCandidates, sign.MaxCandidates, sign.MaxCandidates},
	} {
		c := &crowd{blobs: map[oci.Digest][]byte{}}
		c.layers = row.layers(c)
		found, err := findSignatures(t.Context(), oci.DigestBytes([]byte("{}")), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.all) > row.candidates || c.listed > row.listed || c.fetched > row.fetched {
			t.Errorf("%s: %d signatures, %d manifests listed, %d objects fetched; want %d, %d, %d at most",
				what, len(found.all), c.listed, c.fetched, row.candidates, row.listed, row.fetched)
		}
	}
}
