package contenttest

import (
	"maps"
	"slices"

	"dist.example/oci"
)

const (
	sbomType      = "application/vnd.example.sbom.v1+json"
	signatureType = "application/vnd.example.signature.v1+json"
)

var referrerPromises = []promise{
	{"ASubjectNobodyHeardOfHasNone", func(f *fixture) {
		f.hasReferrers(absent(oci.MediaTypeManifest, 1).Digest, "")
		desc, _ := f.image(1)
		f.hasReferrers(desc.Digest, "")
	}},
	{"ManifestsWithTheSubjectAreListed", func(f *fixture) {
		subject, _ := f.image(1)
		a := f.artifact(subject, sbomType, "a")
		b := f.artifact(subject, signatureType, "b")
		f.artifact(absent(oci.MediaTypeManifest, 7), sbomType, "of another")
		f.hasReferrers(subject.Digest, "", a, b)
	}},
	{"OneArtifactTypeCanBeAskedFor", func(f *fixture) {
		subject, _ := f.image(1)
		a := f.artifact(subject, sbomType, "a")
		b := f.artifact(subject, sbomType, "b")
		c := f.artifact(subject, signatureType, "c")
		f.hasReferrers(subject.Digest, sbomType, a, b)
		f.hasReferrers(subject.Digest, signatureType, c)
		f.hasReferrers(subject.Digest, "application/vnd.example.none")
	}},
	{"TheConfigsTypeStandsInForTheArtifactType", func(f *fixture) {
		subject, _ := f.image(1)
		m := manifestOf(f.put(signatureType, []byte("{}")))
		m.Subject = &subject
		desc := f.putJSON(oci.MediaTypeManifest, m)
		desc.ArtifactType = signatureType
		f.hasReferrers(subject.Digest, signatureType, desc)
	}},
	{"AnIndexCanRefer", func(f *fixture) {
		subject, _ := f.image(1)
		x := indexOf()
		x.Subject, x.ArtifactType, x.Annotations = &subject, sbomType, map[string]string{"k": "v"}
		desc := f.putJSON(oci.MediaTypeIndex, x)
		desc.ArtifactType, desc.Annotations = sbomType, x.Annotations
		f.hasReferrers(subject.Digest, "", desc)
	}},
	{"TheSubjectMayComeLaterOrNever", func(f *fixture) {
		m, _ := f.parts(1)
		data := asJSON(m)
		subject := descriptor(oci.MediaTypeManifest, data)
		a := f.artifact(subject, sbomType, "early")
		f.hasReferrers(subject.Digest, "", a)
		f.put(oci.MediaTypeManifest, data)
		f.hasReferrers(subject.Digest, "", a)
	}},
	{"WhatIsDeletedRefersNoMore", func(f *fixture) {
		subject, _ := f.image(1)
		a := f.artifact(subject, sbomType, "a")
		f.must(f.Store.Delete(f.Context(), subject.Digest, a.Digest))
		f.hasReferrers(subject.Digest, "")
	}},
}

// artifact stores a manifest about subject and returns it as Referrers should.
func (f *fixture) artifact(subject oci.Descriptor, artifactType, note string) oci.Descriptor {
	f.Helper()
	m := manifestOf(f.put(oci.MediaTypeEmpty, []byte("{}")), f.put(artifactType, []byte(note)))
	m.Subject, m.ArtifactType, m.Annotations = &subject, artifactType, map[string]string{"note": note}
	desc := f.putJSON(oci.MediaTypeManifest, m)
	desc.ArtifactType, desc.Annotations = artifactType, m.Annotations
	return desc
}

func (f *fixture) hasReferrers(subject oci.Digest, artifactType string, want ...oci.Descriptor) {
	f.Helper()
	rest := slices.Clone(want)
	for got, err := range f.Store.Referrers(f.Context(), subject, artifactType) {
		f.must(err)
		i := slices.IndexFunc(rest, func(d oci.Descriptor) bool { return d.Digest == got.Digest })
		if i < 0 {
			f.Errorf("Referrers lists %+v, once too often", got)
			continue
		}
		if d := rest[i]; got.MediaType != d.MediaType || got.Size != d.Size || got.ArtifactType != d.ArtifactType || !maps.Equal(got.Annotations, d.Annotations) {
			f.Errorf("Referrers gives %+v, want %+v", got, d)
		}
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) != 0 {
		f.Errorf("Referrers leaves out %+v", rest)
	}
}
