package bundle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// listImages are the images as index.json lists them, by name.
func listImages(images []NamedImage) (items []oci.Descriptor) {
	images = slices.Clone(images)
	slices.SortFunc(images, func(a, b NamedImage) int {
		return cmp.Or(strings.Compare(a.Name.String(), b.Name.String()), cmp.Compare(a.Target.Digest, b.Target.Digest))
	})
	for _, i := range images {
		items = append(items, listed(i.Target, i.Name, i.Name.Tag))
	}
	return items
}

// about describes what is about the images: referrers by digest, attachments by tag.
func (w *Outgoing) about(all []ReferrerEntry) (referrers, tags []oci.Descriptor) {
	for _, r := range all {
		b, here := w.held[r.Digest]
		switch d := (oci.Descriptor{MediaType: b.MediaType, Digest: r.Digest, Size: b.Size, ArtifactType: r.ArtifactType}); {
		case !here: // the receiver has it
		case r.Tag != "":
			d.ArtifactType = ""
			tags = append(tags, listed(d, oci.Reference{}, r.Tag))
		default:
			referrers = append(referrers, d)
		}
	}
	slices.SortFunc(tags, func(a, b oci.Descriptor) int {
		return strings.Compare(a.Annotations[oci.AnnotationRefName], b.Annotations[oci.AnnotationRefName])
	})
	return sorted(referrers), tags
}

// tagReferrers lists an index of the referrers of each subject under its tag
// (distribution-spec 1.1, referrers tag schema).
func (w *Outgoing) tagReferrers(ctx context.Context, all []ReferrerEntry, made map[oci.Digest][]byte) error {
	about := map[oci.Digest][]oci.Descriptor{}
	for _, r := range all {
		b, here := w.held[r.Digest]
		if !here || r.Tag != "" {
			continue
		}
		desc := descriptorOf(b)
		data, err := content.ReadAll(ctx, w.fetchFrom(), desc, oci.MaxManifestSize)
		if err != nil {
			return err
		}
		entry, _ := oci.ReferrerEntry(desc, data)
		about[r.Subject] = append(about[r.Subject], entry)
	}
	for _, subject := range slices.Sorted(maps.Keys(about)) {
		items := sorted(about[subject])
		index, err := w.addIndex(made, items)
		if errors.Is(err, content.ErrInvalid) { // too large
			for i := range items {
				items[i].Annotations = nil
			}
			index, err = w.addIndex(made, items)
		}
		if err != nil {
			return fmt.Errorf("index of what is about %s: %w", subject, err)
		}
		w.listed = append(w.listed, listed(index, oci.Reference{}, oci.ReferrersTag(subject)))
	}
	return nil
}

// markKinds says of the first image, and of what is attached to it, what cosign calls
// them: it knows one image in a layout.
func markKinds(items []oci.Descriptor, cargo Cargo) {
	if len(cargo.Images) == 0 {
		return
	}
	first := items[0].Digest
	kind := "image"
	if oci.IsIndex(items[0].MediaType) {
		kind = "imageIndex"
	}
	items[0].Annotations[cosignKind] = cosignPrefix + kind
	for _, d := range items[len(cargo.Images):] {
		subject, suffix, ok := oci.ParseAttachmentTag(d.Annotations[oci.AnnotationRefName])
		if word := cosignWord(suffix); ok && subject == first && word != "" {
			d.Annotations[cosignKind] = cosignPrefix + word
		}
	}
}

// dockerManifest lists the images that can stand in Docker's manifest.json, nil for
// none. One that has several names is there once.
func (w *Outgoing) dockerManifest(ctx context.Context, cargo Cargo) ([]byte, error) {
	strict := w.o.Form == FormDocker
	if cargo.Base != nil {
		return nil, nil // what Docker would look for may be elsewhere
	}
	var (
		all []dockerImage
		at  = map[oci.Digest]int{}
	)
	for _, i := range slices.SortedFunc(slices.Values(cargo.Images), func(a, b NamedImage) int { return strings.Compare(a.Name.String(), b.Name.String()) }) {
		n, again := at[i.Target.Digest]
		if !again {
			one, err := newDockerImage(ctx, w.fetchFrom(), i.Target, oci.Reference{}, strict)
			if errors.Is(err, content.ErrUnsupported) && !strict {
				continue
			}
			if err == nil && !w.carries(one) {
				continue // a part of it goes elsewhere
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", i.Name, err)
			}
			n, all = len(all), append(all, one)
			at[i.Target.Digest] = n
		}
		if i.Name.Tag != "" {
			all[n].RepoTags = append(all[n].RepoTags, i.Name.String())
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(all)
	if err == nil && len(data) > maxDockerManifest {
		if strict {
			return nil, fmt.Errorf("manifest.json: %w: it would be larger than %d bytes", content.ErrUnsupported, maxDockerManifest)
		}
		data = nil
	}
	return data, err
}

// carries says whether all that an entry of manifest.json names is in the bundle.
func (w *Outgoing) carries(i dockerImage) bool {
	for _, name := range append(slices.Clone(i.Layers), i.Config) {
		d, _ := blobDigest(name)
		if _, ok := w.held[d]; !ok {
			return false
		}
	}
	return true
}

// fetchFrom reads manifests of the cargo.
func (w *Outgoing) fetchFrom() fetch {
	return func(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
		ra, err := w.open(ctx, outBlob{BlobEntry: BlobEntry{desc.Digest, desc.Size, desc.MediaType}})
		if err != nil {
			return nil, err
		}
		return content.VerifyCloser(&stretch{io.NewSectionReader(ra, 0, ra.Size()), ra}, desc), nil
	}
}

// Encode gives the one form in which p is written.
func (p Provenance) Encode() ([]byte, error) {
	p.Version = contentsVersion
	return json.Marshal(p)
}
