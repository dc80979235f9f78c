package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dist.example/content"
	"dist.example/oci"
)

// isAnnotation says whether key and value may stand among annotations: JSON has
// only UTF-8, and nobody finds a key that has blanks again.
func isAnnotation(key, value string) bool {
	odd := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	return key != "" && utf8.ValidString(key) && utf8.ValidString(value) && strings.IndexFunc(key, odd) < 0
}

// checkAnnotations refuses, with ErrInvalid, what may not stand among annotations.
func checkAnnotations(annotations map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if !isAnnotation(key, annotations[key]) {
			return fmt.Errorf("annotation %q: %w: want a key without blanks, and UTF-8", key, content.ErrInvalid)
		}
	}
	return nil
}

// findSubject finds what the manifest is to be about.
func (p *packing) findSubject(ctx context.Context) error {
	word := p.o.Subject
	if word == "" {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("subject %s: %w", word, err) }
	desc, err := lookup(ctx, p.s, word)
	if err != nil {
		return fail(toPull(err, word, word))
	}
	if !oci.HasSuccessors(desc.MediaType) {
		return fail(fmt.Errorf("%w as a manifest: it is %s", content.ErrNotFound, desc.MediaType))
	}
	if err := p.hold(ctx, desc); err != nil {
		return fail(err)
	}
	p.subject = &oci.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
	return nil
}

// toPull says how what word means comes here, where it is not: what is to be pulled
// for it. Nobody can pull a digest alone.
func toPull(err error, word, pull string) error {
	_, derr := oci.ParseDigest(word)
	switch {
	case !errors.Is(err, content.ErrNotFound), strings.Contains(word, momentMark):
		return err
	case derr == nil:
		return content.WithHint(err, "`dist pull NAME@%s` fetches it from where it is", word)
	}
	return content.WithHint(err, "`dist pull %s` fetches it", pull)
}

// say writes annotations and the subject into the manifest that was made.
func (p *packing) say(out *Packed) error {
	if len(p.o.Annotations) == 0 && p.subject == nil {
		return nil
	}
	mediaType := out.Descriptor.MediaType
	if mediaType != oci.MediaTypeManifest && mediaType != oci.MediaTypeIndex {
		return content.WithHint(
			fmt.Errorf("%w: type %s has neither annotations nor a subject", content.ErrUnsupported, mediaType),
			"make a manifest of OCI's of it: an image with --from, an index with -t index")
	}
	doc, err := oci.ParseDocument(out.Manifest)
	if err == nil && p.subject != nil {
		err = doc.Set("subject", p.subject)
	}
	if err == nil {
		err = oci.SetIn(doc, "annotations", p.o.Annotations)
	}
	if err != nil {
		return err
	}
	data, desc, err := oci.Encode(mediaType, doc)
	out.Manifest, out.Descriptor.Digest, out.Descriptor.Size = data, desc.Digest, desc.Size
	return err
}
