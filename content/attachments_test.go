package content_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// signed is a library with attachments.
type signed struct {
	*library
	attached map[oci.Digest][]content.Attachment
	mu       sync.Mutex
	asked    []oci.Digest
}

func newSigned() *signed {
	return &signed{library: newLibrary(), attached: map[oci.Digest][]content.Attachment{}}
}

func (s *signed) Attachments(_ context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	s.mu.Lock()
	s.asked = append(s.asked, subject)
	s.mu.Unlock()
	return func(yield func(content.Attachment, error) bool) {
		for _, a := range s.attached[subject] {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// attach gives subject an attachment with so many layers, each of which has the
// annotation note.
func (s *signed) attach(t *testing.T, subject oci.Descriptor, suffix, note string, layers ...string) oci.Descriptor {
	t.Helper()
	d := attachmentIn(t, s.source, note, layers...)
	s.attached[subject.Digest] = append(s.attached[subject.Digest], content.Attachment{Suffix: suffix, Descriptor: d})
	return d
}

func attachmentIn(t *testing.T, s *source, note string, layers ...string) oci.Descriptor {
	t.Helper()
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Layers: []oci.Descriptor{}, Config: s.add(oci.MediaTypeImageConfig, []byte("{}"))}
	m.SchemaVersion = 2
	for _, l := range layers {
		d := s.add("application/vnd.dev.cosign.simplesigning.v1+json", []byte(l))
		d.Annotations = map[string]string{"dev.cosignproject.cosign/signature": note}
		m.Layers = append(m.Layers, d)
	}
	return s.add(oci.MediaTypeManifest, encode(t, m))
}

// keeper is a target that keeps attachments.
type keeper struct {
	*target
	*tagged
}

type tagged struct {
	lock  sync.Mutex
	tags  map[string]held
	looks int
	moved int // so many Attach meet a tag that somebody else has moved
	other held
}

type held struct {
	desc oci.Descriptor
	data []byte
}

func newKeeper() keeper { return keeper{newTarget(), &tagged{tags: map[string]held{}}} }

func (k *tagged) Attached(_ context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.looks++
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	h, ok := k.tags[tag]
	if !ok {
		return h.desc, nil, content.ErrNotFound
	}
	return h.desc, h.data, nil
}

func (k *tagged) Attach(_ context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, old oci.Digest) error {
	k.lock.Lock()
	defer k.lock.Unlock()
	tag := oci.AttachmentTag(subject, suffix)
	if k.moved > 0 {
		k.moved--
		k.tags[tag] = k.other
		return content.ErrConflict
	}
	if k.tags[tag].desc.Digest != old {
		return content.ErrConflict
	}
	k.tags[tag] = held{desc, data}
	return nil
}

// has gives the tag of an attachment to what src has.
func (k keeper) has(src *signed, subject oci.Descriptor, suffix string, d oci.Descriptor) {
	k.tags[oci.AttachmentTag(subject.Digest, suffix)] = held{d, src.blobs[d.Digest]}
	k.held[d.Digest] = true
}

// catching is a target that gives what it got to a source.
type catching struct {
	keeper
	to *source
}

func (c catching) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.to.mu.Lock()
	c.to.add(desc.MediaType, p)
	c.to.mu.Unlock()
	return c.keeper.Push(ctx, desc, bytes.NewReader(p))
}

// layers are the notes of the layers that an attachment has now, and its manifest.
func (k keeper) layers(t *testing.T, subject oci.Descriptor, suffix string) (oci.Manifest, []string) {
	t.Helper()
	h := k.tags[oci.AttachmentTag(subject.Digest, suffix)]
	m, err := oci.ParseManifest(h.desc.MediaType, h.data)
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	for _, l := range m.Layers {
		notes = append(notes, l.Annotations["dev.cosignproject.cosign/signature"])
	}
	return m, notes
}

func TestCopyBringsAttachmentsOfTheGraph(t *testing.T) {
	src := newSigned()
	a, b := src.manifest(t, nil, "one"), src.manifest(t, nil, "two")
	says := src.manifest(t, nil, "what a build tool says")
	says.Platform = &oci.Platform{OS: "unknown", Architecture: "unknown"}
	root := src.index(t, a, b, says)
	list := src.about(t, a, "list of contents")
	sig := src.attach(t, root, oci.SuffixSignature, "n", "signature")
	att := src.attach(t, b, oci.SuffixAttestation, "n", "attestation")
	src.attach(t, list, oci.SuffixSignature, "n", "signature of what is about it")
	for _, closed := range []bool{false, true} {
		dst := newKeeper()
		dst.closed, src.asked = closed, nil
		stats, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true})
		if err != nil {
			t.Fatal(err)
		}
		tags := []string{oci.AttachmentTag(root.Digest, "sig"), oci.AttachmentTag(b.Digest, "att")}
		slices.Sort(tags)
		if got := slices.Sorted(maps.Keys(dst.tags)); !slices.Equal(got, tags) || stats.Referrers != 3 {
			t.Errorf("closed %v: %d came, with the tags %v", closed, stats.Referrers, got)
		}
		if dst.tags[oci.AttachmentTag(root.Digest, "sig")].desc.Digest != sig.Digest || dst.held[att.Digest] == closed {
			t.Errorf("closed %v: the tags stand for other manifests", closed)
		}
		slices.Sort(src.asked)
		want := []oci.Digest{root.Digest, a.Digest, b.Digest}
		slices.Sort(want)
		if !slices.Equal(src.asked, want) {
			t.Errorf("asked about %v, want %v", src.asked, want)
		}
		again, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true})
		if err != nil || closed && again.MovedBlobs != 0 || again.Referrers != 3 {
			t.Errorf("closed %v: the second copy moved %+v, %v", closed, again, err)
		}
	}
}

func TestCopyBringsNoAttachmentsWhereNobodyAskedOrKeepsThem(t *testing.T) {
	src := newSigned()
	root := src.manifest(t, nil, "one")
	src.attach(t, root, oci.SuffixSignature, "n", "signature")
	if _, err := content.Copy(t.Context(), newKeeper(), src, root, content.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	stats, err := content.Copy(t.Context(), newTarget(), src, root, content.CopyOptions{Referrers: true})
	if err != nil || stats.Referrers != 0 || len(src.asked) != 0 {
		t.Errorf("%d came, asked about %v, %v", stats.Referrers, src.asked, err)
	}
}

func TestAttachmentsForOneTagAreJoined(t *testing.T) {
	for _, tc := range []struct {
		name       string
		suffix     string
		here, come []string // notes
		want       []string
		warns      bool
	}{
		{"others", "sig", []string{"a"}, []string{"b", "c"}, []string{"a", "b", "c"}, false},
		{"some of each", "att", []string{"a", "b"}, []string{"b", "c"}, []string{"a", "b", "c"}, false},
		{"less", "sig", []string{"a", "b"}, []string{"b"}, []string{"a", "b"}, false},
		{"more", "sig", []string{"b"}, []string{"a", "b"}, []string{"a", "b"}, false},
		{"another list", "sbom", []string{"a"}, []string{"b"}, []string{"a"}, true},
		{"a list that has more", "sbom", []string{"a"}, []string{"a", "b"}, []string{"a", "b"}, false},
		{"as many as may be", "sig", notes("a", 60), notes("b", 4), append(notes("a", 60), notes("b", 4)...), false},
		{"too many", "sig", notes("a", 60), notes("b", 5), notes("a", 60), true},
	} {
		for _, closed := range []bool{false, true} {
			src, dst := newSigned(), newKeeper()
			root := src.manifest(t, nil, "one")
			dst.closed = closed
			dst.has(src, root, tc.suffix, noted(t, src, tc.here))
			src.attached[root.Digest] = []content.Attachment{{Suffix: tc.suffix, Descriptor: noted(t, src, tc.come)}}
			var warned []string
			opts := content.CopyOptions{Referrers: true, Warn: func(s string) { warned = append(warned, s) }}
			plan, err := content.PlanCopy(t.Context(), dst, src, root, opts)
			if err != nil {
				t.Fatal(err)
			}
			warned = nil
			stats, err := content.Copy(t.Context(), dst, src, root, opts)
			if err != nil {
				t.Fatal(err)
			}
			planned(t, tc.name, plan, stats)
			m, got := dst.layers(t, root, tc.suffix)
			if !slices.Equal(got, tc.want) || len(warned) > 0 != tc.warns {
				t.Errorf("%s, closed %v: it has %v, want %v; warned %q", tc.name, closed, got, tc.want, warned)
			}
			for _, l := range append(m.Layers, m.Config) {
				if !closed && !dst.held[l.Digest] && !slices.Equal(got, tc.here) {
					t.Errorf("%s: %s of it is not there", tc.name, l.Digest)
				}
			}
		}
	}
}

func notes(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(prefix, i))
	}
	return out
}

// noted is an attachment whose layers are told apart by their annotations alone.
func noted(t *testing.T, s *signed, notes []string) oci.Descriptor {
	t.Helper()
	d := s.add("application/vnd.dev.cosign.simplesigning.v1+json", []byte("payload"))
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: s.add(oci.MediaTypeImageConfig, []byte(`{"n":`+fmt.Sprint(len(notes))+`}`))}
	m.SchemaVersion = 2
	for _, n := range notes {
		d.Annotations = map[string]string{"dev.cosignproject.cosign/signature": n}
		m.Layers = append(m.Layers, d)
	}
	return s.add(oci.MediaTypeManifest, encode(t, m))
}

// What is joined is what cosign would have written.
func TestWhatIsJoinedHasTheFormOfCosigns(t *testing.T) {
	src, dst := newSigned(), newKeeper()
	root := src.manifest(t, nil, "one")
	dst.has(src, root, "sig", attachmentIn(t, src.source, "a", "first"))
	src.attach(t, root, "sig", "b", "second")
	if _, err := content.Copy(t.Context(), catching{dst, src.source}, src, root, content.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	m, _ := dst.layers(t, root, "sig")
	first, second := oci.DigestBytes([]byte("first")), oci.DigestBytes([]byte("second"))
	want := `{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"",` +
		`"rootfs":{"type":"layers","diff_ids":["` + first.String() + `","` + second.String() + `"]},"config":{}}`
	if got := string(src.blobs[m.Config.Digest]); got != want || m.Config.MediaType != oci.MediaTypeImageConfig {
		t.Errorf("the configuration is %s, want %s", got, want)
	}
	if len(m.Layers) != 2 || m.Layers[0].Digest != first || m.Layers[1].Digest != second {
		t.Errorf("the layers are %+v", m.Layers)
	}
}

func TestAnAttachmentOfAnotherFormStaysAsItIs(t *testing.T) {
	for name, change := range map[string]func(*oci.Manifest){
		"an artifact":     func(m *oci.Manifest) { m.ArtifactType = "application/vnd.example" },
		"another config":  func(m *oci.Manifest) { m.Config.MediaType = "application/vnd.example" },
		"about something": func(m *oci.Manifest) { s := m.Config; s.MediaType = oci.MediaTypeManifest; m.Subject = &s },
	} {
		src, dst := newSigned(), newKeeper()
		root := src.manifest(t, nil, "one")
		src.attach(t, root, "sig", "n", "signature")
		var m oci.Manifest
		if err := json.Unmarshal(src.blobs[attachmentIn(t, src.source, "n", "other").Digest], &m); err != nil {
			t.Fatal(err)
		}
		change(&m)
		other := src.add(oci.MediaTypeManifest, encode(t, m))
		dst.has(src, root, "sig", other)
		var warned string
		_, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true, Warn: func(s string) { warned += s }})
		if got := dst.tags[oci.AttachmentTag(root.Digest, "sig")].desc.Digest; err != nil || got != other.Digest || !strings.Contains(warned, "stays as it is") {
			t.Errorf("%s: the tag stands for %s, %v; warned %q", name, got, err, warned)
		}
	}
}

func TestAnAttachmentWithoutATagIsLeftOut(t *testing.T) {
	src, dst := newSigned(), newKeeper()
	root := src.manifest(t, nil, "one")
	data := src.blobs[root.Digest]
	root.Digest = oci.SHA512.FromBytes(data)
	src.blobs[root.Digest] = data
	src.attach(t, root, "sig", "n", "signature")
	var warned string
	_, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true, Warn: func(s string) { warned += s }})
	if err != nil || len(dst.tags) > 0 || !dst.held[root.Digest] || !strings.Contains(warned, "attachment sig of "+root.Digest.String()+" stays") {
		t.Errorf("it gets the tags %v, %v; warned %q", dst.tags, err, warned)
	}
}

func TestATagThatMovesMeanwhileIsJoinedAgain(t *testing.T) {
	src, dst := newSigned(), newKeeper()
	root := src.manifest(t, nil, "one")
	src.attach(t, root, "sig", "ours", "x")
	other := attachmentIn(t, src.source, "theirs", "x")
	dst.other, dst.moved = held{other, src.blobs[other.Digest]}, 1
	if _, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	if _, got := dst.layers(t, root, "sig"); !slices.Equal(got, []string{"theirs", "ours"}) {
		t.Errorf("it has the signatures of %v", got)
	}
	dst.moved, dst.tags = 1000, map[string]held{}
	_, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true})
	if !errors.Is(err, content.ErrConflict) {
		t.Errorf("a tag that others move all the time: %v", err)
	}
}
