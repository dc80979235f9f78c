package blobstore

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"dist.example/db"
	"dist.example/oci"
)

// Bounds of what is indexed of one object. Manifests come from anybody.
const (
	maxFacts = 2000
	maxFact  = 1 << 10  // bytes of one
	maxText  = 64 << 10 // bytes of all
)

// facts collects what a document says, each once, as far as the bounds allow.
type facts struct {
	list []db.Fact
	seen map[db.Fact]bool
	size int
}

func (f *facts) add(field db.Field, text string) {
	text = strings.ToValidUTF8(text[:min(len(text), maxFact)], "")
	fact := db.Fact{Field: field, Text: text}
	if text == "" || f.seen[fact] || len(f.list) >= maxFacts || f.size+len(text) > maxText {
		return
	}
	if f.seen == nil {
		f.seen = map[db.Fact]bool{}
	}
	f.seen[fact] = true
	f.list = append(f.list, fact)
	f.size += len(text)
}

func (f *facts) pairs(field db.Field, pairs map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		f.add(field, k+"="+pairs[k])
	}
}

func (f *facts) kind(k oci.Kind, artifactType string) {
	f.add(db.FieldType, string(k))
	f.add(db.FieldType, artifactType)
}

// document adds what a manifest or index says, and returns the configuration of an
// image, which says more. What cannot be parsed says nothing.
func (f *facts) document(mediaType string, data []byte) (config *oci.Descriptor) {
	if oci.IsIndex(mediaType) {
		if idx, err := oci.ParseIndex(mediaType, data); err == nil {
			f.index(idx)
		}
		return nil
	}
	m, err := oci.ParseManifest(mediaType, data)
	if err != nil {
		return nil
	}
	f.manifest(m)
	if oci.IsImageConfig(m.Config.MediaType) {
		return &m.Config
	}
	return nil
}

func (f *facts) index(idx oci.Index) {
	f.kind(oci.KindIndex, idx.ArtifactType)
	f.pairs(db.FieldAnnotation, idx.Annotations)
	for _, m := range idx.Manifests {
		f.add(db.FieldPlatform, oci.FormatPlatform(m.Platform))
		f.add(db.FieldType, m.ArtifactType)
		f.pairs(db.FieldAnnotation, m.Annotations)
	}
}

func (f *facts) manifest(m oci.Manifest) {
	f.kind(oci.KindOf(m), oci.ArtifactType(m))
	f.pairs(db.FieldAnnotation, m.Annotations)
	f.add(db.FieldType, m.Config.MediaType)
	for _, l := range m.Layers {
		f.add(db.FieldType, l.MediaType)
		f.add(db.FieldFile, l.Annotations[oci.AnnotationTitle])
		rest := maps.Clone(l.Annotations)
		delete(rest, oci.AnnotationTitle)
		f.pairs(db.FieldAnnotation, rest)
	}
}

// config adds platform and labels of an image's configuration.
func (f *facts) config(data []byte) {
	var image oci.Image
	if json.Unmarshal(data, &image) != nil {
		return
	}
	f.add(db.FieldPlatform, oci.FormatPlatform(&image.Platform))
	f.pairs(db.FieldLabel, image.Config.Labels)
}
