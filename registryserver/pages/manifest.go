package pages

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// maxRows bounds every list of a page that comes out of one document.
	maxRows = 200
	// maxRaw bounds the text of a document that is shown as it is.
	maxRaw = 32 << 10
	// manifestReads bounds the manifests that are read for the size of one.
	manifestReads = 1000
)

// manifestPage is the data of the page of a manifest.
type manifestPage struct {
	Path, Suffix string // the address below /r/ is both
	Tag          string // "" on the page of a digest
	Digest       oci.Digest
	Kind         string
	MediaType    string
	ArtifactType string
	Platform     string
	Size         int64
	More         bool
	Updated      time.Time // of the tag
	Stored       time.Time
	Signature    bool

	Pulls []command
	Plain bool // docker has to be told that there is no TLS

	Subject     *subject
	Index       bool
	Children    rows[childRow]
	Here, Of    int
	Config      *configView
	Blobs       rows[blobRow]
	Files       bool // Blobs are files and no layers
	Annotations rows[pair]
	About       abouts
	Raw         excerpt
}

// rows are the beginning of a list, and how many more there are.
type rows[T any] struct {
	List []T
	More int
}

func (r *rows[T]) add(row T) {
	if len(r.List) == maxRows {
		r.More++
		return
	}
	r.List = append(r.List, row)
}

// pair is a key and a value that others wrote.
type pair struct {
	Key, Value string
	Link       string // what Value leads to, "" for nothing
}

func newPair(key, value string) pair { return pair{clip(key), clip(value), httpLink(value)} }

// subject is what a manifest is about.
type subject struct {
	Digest oci.Digest
	Here   bool
}

type childRow struct {
	Platform string
	Kind     string
	Digest   oci.Digest
	Size     int64 // of all that is here of it
	More     bool
	Here     bool
	About    string // the start of the digest that an attestation is about
}

type blobRow struct {
	Title     string
	MediaType string
	Digest    oci.Digest
	Size      int64
	Elsewhere bool // registries need not hold it
	Link      string
}

// excerpt is the beginning of a text.
type excerpt struct {
	Text string
	Size int64 // of the whole document in bytes
	Cut  bool
}

// byTag shows what a tag of repo stands for.
func (s *site) byTag(r *http.Request, repo *repository, tag string) (view, error) {
	ref, err := repo.ref.WithTag(tag)
	if err != nil {
		return view{}, noTag(repo, tag)
	}
	desc, err := s.lib.Resolve(r.Context(), ref)
	if errors.Is(err, content.ErrNotFound) || (err == nil && !oci.HasSuccessors(desc.MediaType)) {
		return view{}, noTag(repo, tag)
	}
	if err != nil {
		return view{}, err
	}
	p := manifestPage{Path: repo.path, Suffix: ":" + tag, Tag: tag}
	if i := slices.IndexFunc(repo.entries, func(e entry) bool { return e.tag == tag }); i >= 0 {
		p.Updated = repo.entries[i].updated
	}
	return s.manifestPage(r, repo, desc, p)
}

func noTag(repo *repository, tag string) error {
	return refuse(http.StatusNotFound, "There is no tag %s in %s.", clip(tag), repo.path)
}

// byDigest shows a manifest that repo has.
func (s *site) byDigest(r *http.Request, repo *repository, text string) (view, error) {
	d, err := oci.ParseDigest(text)
	if err != nil {
		return view{}, refuse(http.StatusNotFound, "%s is no digest.", clip(text))
	}
	absent := refuse(http.StatusNotFound, "There is no manifest %s in %s.", d, repo.path)
	here, err := s.here(r.Context(), repo.ref.Name(), []oci.Descriptor{{Digest: d}})
	if err != nil {
		return view{}, err
	}
	if !here[d] {
		return view{}, absent
	}
	info, err := s.lib.Info(r.Context(), d)
	if errors.Is(err, content.ErrNotFound) || (err == nil && !oci.HasSuccessors(info.MediaType)) {
		return view{}, absent
	}
	if err != nil {
		return view{}, err
	}
	return s.manifestPage(r, repo, info.Descriptor(), manifestPage{Path: repo.path, Suffix: suffixOf(d)})
}

// manifestPage fills p with what desc says.
func (s *site) manifestPage(r *http.Request, repo *repository, desc oci.Descriptor, p manifestPage) (view, error) {
	ctx := r.Context()
	d, err := s.documents.get(ctx, desc)
	if err != nil {
		return view{}, err
	}
	data, err := read(ctx, s.lib, desc, oci.MaxManifestSize)
	if err != nil {
		return view{}, err
	}
	k := kindOfTag(d.kind, p.Tag)
	p.Digest, p.MediaType, p.ArtifactType, p.Platform = desc.Digest, desc.MediaType, d.artifactType, d.platform
	p.Kind, p.Signature, p.Index = k.word(), k == kindSignature, d.kind == kindIndex
	at := s.reach(r)
	p.Pulls, p.Plain = at.pulls(k, p.Path, p.Suffix), at.plain(k)
	p.Raw = pretty(data)
	w := s.scale(repo, manifestReads)
	if err := w.add(ctx, desc); err != nil {
		return view{}, err
	}
	p.Size, p.More = w.total, w.more
	if info, err := s.lib.Info(ctx, desc.Digest); err == nil {
		p.Stored = info.Committed
	}
	if p.About, err = s.about(ctx, repo, desc.Digest); err != nil {
		return view{}, err
	}
	if p.Index {
		err = s.fillIndex(ctx, repo, d, data, &p)
	} else {
		err = s.fillManifest(ctx, repo, d, data, &p)
	}
	title := p.Path + ":" + p.Tag
	if p.Tag == "" {
		title = p.Path + "@" + oci.ShortDigest(p.Digest)
	}
	return view{template: "manifest", title: title, data: p}, err
}

// fillIndex lists what an index lists, and what of it is here.
func (s *site) fillIndex(ctx context.Context, repo *repository, d *document, data []byte, p *manifestPage) error {
	x, err := oci.ParseIndex(p.MediaType, data)
	if err != nil {
		return err
	}
	if len(d.children) > 0 {
		descs := make([]oci.Descriptor, len(d.children))
		for i, c := range d.children {
			descs[i] = c.Descriptor
		}
		here, err := s.here(ctx, repo.ref.Name(), descs)
		if err != nil {
			return err
		}
		for _, c := range d.platforms() {
			p.Of++
			if here[c.Digest] {
				p.Here++
			}
		}
		if err := s.fillChildren(ctx, repo, d, here, p); err != nil {
			return err
		}
	}
	p.Annotations = pairs(x.Annotations)
	return s.fillSubject(ctx, repo, x.Subject, p)
}

// fillChildren weighs the children that are shown.
func (s *site) fillChildren(ctx context.Context, repo *repository, d *document, here map[oci.Digest]bool, p *manifestPage) error {
	reads := manifestReads
	for _, c := range d.children {
		row := newChildRow(c, here[c.Digest])
		if row.Here && oci.HasSuccessors(c.MediaType) && len(p.Children.List) < maxRows {
			w := s.scale(repo, reads)
			if err := w.add(ctx, c.Descriptor); err != nil {
				return err
			}
			reads, row.Size, row.More = w.reads, w.total, w.more
		}
		p.Children.add(row)
	}
	return nil
}

func newChildRow(c child, here bool) childRow {
	row := childRow{Platform: c.platform, Digest: c.Digest, Size: c.Size, Here: here}
	if c.attestation {
		row.Kind, row.Platform = kindAttestation.word(), ""
		if c.about != "" {
			row.About = oci.ShortDigest(c.about)
		}
		return row
	}
	if row.Platform == "" {
		row.Kind = cmp.Or(ofType(c.ArtifactType).word(), c.ArtifactType, "Manifest")
	}
	return row
}

// fillManifest lists the configuration and the layers or files.
func (s *site) fillManifest(ctx context.Context, repo *repository, d *document, data []byte, p *manifestPage) error {
	m, err := oci.ParseManifest(p.MediaType, data)
	if err != nil {
		return err
	}
	p.Files = d.kind != kindImage
	for _, l := range m.Layers {
		p.Blobs.add(newBlobRow(p.Path, l))
	}
	if p.Config, err = s.config(ctx, repo, m.Config); err != nil {
		return err
	}
	p.Annotations = pairs(m.Annotations)
	return s.fillSubject(ctx, repo, m.Subject, p)
}

func newBlobRow(path string, l oci.Descriptor) blobRow {
	row := blobRow{
		Title: clip(l.Annotations[oci.AnnotationTitle]), MediaType: clip(l.MediaType), Digest: l.Digest, Size: l.Size,
		Elsewhere: oci.IsNonDistributable(l.MediaType),
	}
	if !row.Elsewhere {
		row.Link = "/v2/" + path + "/blobs/" + l.Digest.String()
	}
	return row
}

func (s *site) fillSubject(ctx context.Context, repo *repository, desc *oci.Descriptor, p *manifestPage) error {
	if desc == nil {
		return nil
	}
	here, err := s.here(ctx, repo.ref.Name(), []oci.Descriptor{*desc})
	p.Subject = &subject{desc.Digest, here[desc.Digest]}
	return err
}

// pairs are the entries of m in order of their keys.
func pairs(m map[string]string) rows[pair] {
	var all rows[pair]
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all.add(newPair(k, m[k]))
	}
	return all
}

// pretty is the beginning of a JSON document, with a line for each field.
func pretty(data []byte) excerpt {
	var b bytes.Buffer
	if json.Indent(&b, data, "", "  ") != nil {
		b.Reset()
		b.Write(data)
	}
	return cut(b.Bytes(), int64(len(data)))
}

// cut is the beginning of text, which stands for a document of size bytes.
func cut(text []byte, size int64) excerpt {
	e := excerpt{Size: size, Cut: len(text) > maxRaw || int64(len(text)) < size}
	e.Text = strings.ToValidUTF8(string(text[:min(len(text), maxRaw)]), "\uFFFD")
	return e
}
