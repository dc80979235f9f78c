package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// AttachOptions direct Attach.
type AttachOptions struct {
	// Type is the artifact's: a media type, or spdx, cyclonedx, or sbom, which is what
	// the one file says of itself of those two.
	Type string
	// Annotations are the artifact's own.
	Annotations map[string]string
	// Platform attaches, of an index, to the image for this platform. nil attaches to
	// the index.
	Platform *oci.Platform
	Epoch    time.Time // of SOURCE_DATE_EPOCH, zero when it is not set
}

// Attached is the outcome of Attach.
type Attached struct {
	Subject    oci.Descriptor
	Descriptor oci.Descriptor // of the artifact, with its type
	Layers     []oci.Descriptor
}

// Attach makes an artifact of files that is about an image: its subject. where is an
// id or a name in the store, which keeps the artifact as long as its subject, or
// docker://REFERENCE, where it is pushed to, and no store is needed. Words are as
// those of Pack for an artifact, but for config=: the configuration is empty; at a
// registry they are files alone. The same again makes the same artifact, and changes
// nothing.
//
// Errors: those of Lookup and of the registry; ErrInvalid for words, types and
// annotations that are none, and for a list of contents that says it is of the other
// kind; ErrUnsupported for other places.
func (c *Client) Attach(ctx context.Context, where string, words []string, o AttachOptions) (Attached, error) {
	a := &attaching{c: c, o: o}
	err := a.parse(words)
	if err != nil {
		return Attached{}, err
	}
	p, err := c.open(ctx, where)
	if err != nil {
		return Attached{}, err
	}
	defer p.done()
	subject := p.desc
	if o.Platform != nil && oci.IsIndex(subject.MediaType) {
		if subject, err = selectImage(ctx, p.src, subject, Platforms{Only: o.Platform}); err != nil {
			return Attached{}, err
		}
	}
	if !oci.HasSuccessors(subject.MediaType) {
		return Attached{}, fmt.Errorf("%s: %w: only to manifests can something be attached", subject.Digest, content.ErrUnsupported)
	}
	a.subject = oci.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	if p.store != nil {
		return a.here(ctx, p.store)
	}
	if from, ok := p.src.(fromRegistry); ok {
		return a.there(ctx, from)
	}
	return Attached{}, content.WithHint(fmt.Errorf("attach to %s: %w: only in the store and in registries", where, content.ErrUnsupported),
		"pull it, attach there, and push it back")
}

// attaching is one run of Attach.
type attaching struct {
	c       *Client
	o       AttachOptions
	words   []packWord
	subject oci.Descriptor
}

// parse checks what can be checked without looking anywhere but at the files.
func (a *attaching) parse(words []string) (err error) {
	if a.words, err = parseWords(words); err != nil {
		return err
	}
	if len(words) == 0 {
		return fmt.Errorf("%w: nothing to attach", content.ErrInvalid)
	}
	for _, w := range a.words {
		if w.Key == "config" {
			return fmt.Errorf("%q: %w: what is attached has an empty configuration", w.String(), content.ErrInvalid)
		}
	}
	if err := checkAnnotations(a.o.Annotations); err != nil {
		return err
	}
	a.o.Type, err = a.artifactType()
	return err
}

// The artifact types that have a word.
const (
	typeSPDX      = "application/spdx+json"
	typeCycloneDX = "application/vnd.cyclonedx+json"
)

// artifactType is what the word for it means.
func (a *attaching) artifactType() (string, error) {
	switch a.o.Type {
	case "":
		return "", content.WithHint(fmt.Errorf("%w: nobody says what it is", content.ErrInvalid), "--type spdx, or any media type")
	case "spdx":
		return typeSPDX, a.contradicted(typeSPDX)
	case "cyclonedx":
		return typeCycloneDX, a.contradicted(typeCycloneDX)
	case "sbom":
		return a.sniff()
	}
	t, err := oci.ParseMediaType(a.o.Type)
	if err != nil { // whose own words name all types of layers
		return "", fmt.Errorf("artifact type %q: %w: want a media type, spdx, cyclonedx or sbom", a.o.Type, content.ErrInvalid)
	}
	return t, a.contradicted(t)
}

// sniff tells by its beginning which list of contents the one file is.
func (a *attaching) sniff() (string, error) {
	if len(a.words) == 1 {
		said, err := says(a.words[0])
		if err != nil {
			return "", err
		}
		if len(said) > 0 {
			return said[0], nil
		}
	}
	return "", content.WithHint(fmt.Errorf("type sbom: %w: what is attached says neither of SPDX nor of CycloneDX", content.ErrInvalid),
		"say which it is: --type spdx or --type cyclonedx")
}

// contradicted refuses a list of contents that says of itself that it is of another
// kind than t. What says nothing, or of both, is taken at its word.
func (a *attaching) contradicted(t string) error {
	if t != typeSPDX && t != typeCycloneDX {
		return nil
	}
	for _, w := range a.words {
		said, err := says(w)
		if err != nil {
			return err
		}
		if len(said) > 0 && !slices.Contains(said, t) {
			return content.WithHint(fmt.Errorf("%q: %w: it says that it is %s, not %s", w.String(), content.ErrInvalid, said[0], t),
				"--type sbom takes what the file says")
		}
	}
	return nil
}

// says are the types of which a file says at its beginning that it is; none for what is
// no regular file, since a pipe can be read but once.
func says(w packWord) (types []string, err error) {
	src, err := w.file()
	if err != nil {
		return nil, nil // an object, or nothing, which is told when it is looked for
	}
	if fi, err := os.Stat(src.path); err != nil || !fi.Mode().IsRegular() {
		return nil, nil
	}
	f, err := os.Open(src.path)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fsys.Classify(err)
	}
	if bytes.Contains(head, []byte(`"spdxVersion"`)) {
		types = append(types, typeSPDX)
	}
	if bytes.Contains(head, []byte(`"bomFormat"`)) {
		types = append(types, typeCycloneDX)
	}
	return types, nil
}

// manifest makes the artifact of an empty configuration and layers.
func (a *attaching) manifest(empty oci.Descriptor, layers []oci.Descriptor) ([]byte, Attached, error) {
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: a.o.Type, Config: empty, Layers: layers, Subject: &a.subject,
		Annotations: layer.Annotations(oci.Reference{}, a.o.Epoch),
	}
	m.SchemaVersion = 2
	for k, v := range a.o.Annotations {
		m.Annotations[k] = v
	}
	data, desc, err := oci.Encode(oci.MediaTypeManifest, m)
	desc.ArtifactType = a.o.Type
	return data, Attached{a.subject, desc, layers}, err
}

// here attaches to what the store has. There, the subject keeps what is about it.
func (a *attaching) here(ctx context.Context, s *blobstore.Store) (out Attached, err error) {
	p := &packing{c: a.c, s: s, words: a.words, o: PackOptions{Epoch: a.o.Epoch}}
	if p.ses, err = s.Begin(ctx, blobstore.SessionOptions{Note: "attach"}); err != nil {
		return out, err
	}
	defer p.ses.Close()
	if err := p.hold(ctx, a.subject); err != nil {
		return out, err
	}
	_, layers, err := p.artifactWords(ctx)
	if err != nil {
		return out, err
	}
	empty := oci.Describe(oci.MediaTypeEmpty, []byte(emptyJSON))
	if err := p.store(ctx, empty, []byte(emptyJSON)); err != nil {
		return out, err
	}
	data, out, err := a.manifest(empty, layers)
	if err != nil {
		return out, err
	}
	if err := p.store(ctx, out.Descriptor, data); err != nil {
		return out, err
	}
	return out, p.ses.Commit(ctx)
}

// there pushes to the registry that has the subject.
func (a *attaching) there(ctx context.Context, from fromRegistry) (out Attached, err error) {
	p := &packing{c: a.c}
	var parts []source
	for _, w := range a.words {
		src, err := w.file()
		if errors.Is(err, content.ErrNotFound) {
			err = w.notFound()
		}
		if err == nil && src.folder {
			err = content.WithHint(fmt.Errorf("%s: %w: it is a folder", src.path, content.ErrUnsupported),
				"attach it to the image in the store, and push that")
		}
		if err != nil {
			return out, err
		}
		parts = append(parts, src)
	}
	titles, err := p.titles(parts)
	if err != nil {
		return out, err
	}
	to := from.ForPush()
	var layers []oci.Descriptor
	for i, src := range parts {
		desc, err := a.send(ctx, to, src)
		if err != nil {
			return out, fmt.Errorf("%s: %w", src.path, err)
		}
		desc.Annotations = map[string]string{oci.AnnotationTitle: titles[i]}
		layers = append(layers, desc)
	}
	empty := oci.Describe(oci.MediaTypeEmpty, []byte(emptyJSON))
	if err := sendBlob(ctx, to, empty, strings.NewReader(emptyJSON)); err != nil {
		return out, err
	}
	data, out, err := a.manifest(empty, layers)
	if err != nil {
		return out, err
	}
	return out, to.PushManifest(ctx, out.Descriptor, data)
}

// send pushes one file, which is read twice.
func (a *attaching) send(ctx context.Context, to content.Pusher, src source) (desc oci.Descriptor, err error) {
	f, err := openInput(ctx, src.path)
	if err != nil {
		return desc, err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return desc, fsys.Classify(err)
	}
	if desc.MediaType, err = src.mediaType(head[:n]); err != nil {
		return desc, err
	}
	if oci.HasSuccessors(desc.MediaType) {
		return desc, fmt.Errorf("%w: it is a manifest, and registries take none for a layer", content.ErrInvalid)
	}
	if desc.Digest, desc.Size, err = oci.DigestReader(content.UntilDone(ctx, f)); err != nil {
		return desc, fsys.Classify(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return desc, fsys.Classify(err)
	}
	t := &told{observe: a.c.opts.Observe, name: src.path, total: desc.Size}
	return desc, t.during(func() error { return sendBlob(ctx, to, desc, f) })
}

// sendBlob pushes what is not there yet.
func sendBlob(ctx context.Context, to content.Pusher, desc oci.Descriptor, r io.Reader) error {
	here, err := to.Exists(ctx, desc)
	if err != nil || here {
		return err
	}
	return to.Push(ctx, desc, r)
}
