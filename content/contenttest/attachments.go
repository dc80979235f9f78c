package contenttest

import (
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

var attachmentPromises = []promise{
	{"ASubjectNobodyHeardOfHasNone", func(f *fixture) {
		f.hasAttachments(absent(oci.MediaTypeManifest, 1).Digest)
		f.hasAttachments(absentSHA512)
		desc, _ := f.image(1)
		f.hasAttachments(desc.Digest)
	}},
	{"WhatHasTheTagIsListedSignaturesFirst", func(f *fixture) {
		subject, _ := f.image(1)
		f.name("r.example/app:v1", subject)
		list := f.attach("r.example/app", subject, oci.SuffixSBOM, 2)
		sig := f.attach("r.example/app", subject, oci.SuffixSignature, 3)
		f.attach("r.example/app", absent(oci.MediaTypeManifest, 7), oci.SuffixSignature, 4)
		f.hasAttachments(subject.Digest, sig, list)
	}},
	{"TheTagCountsWhereTheSubjectIs", func(f *fixture) {
		subject, _ := f.image(1)
		f.name("r.example/app:v1", subject)
		f.attach("r.example/app2", subject, oci.SuffixSignature, 2)
		f.attach("r.example/app/below", subject, oci.SuffixSignature, 2)
		f.hasAttachments(subject.Digest)
		f.name("r.example/app2:v1", subject)
		f.hasAttachments(subject.Digest, f.attach("r.example/app2", subject, oci.SuffixSignature, 2))
	}},
	{"AnImageOfAnIndexThatIsThereCounts", func(f *fixture) {
		subject, _ := f.image(1)
		index := f.putJSON(oci.MediaTypeIndex, indexOf(subject))
		f.name("r.example/app:v1", index)
		sig := f.attach("r.example/app", subject, oci.SuffixSignature, 2)
		f.hasAttachments(subject.Digest, sig)
		f.hasAttachments(index.Digest)
	}},
	{"EachManifestComesOnce", func(f *fixture) {
		subject, _ := f.image(1)
		f.name("r.example/a:v1", subject)
		f.name("r.example/b:v1", subject)
		one := f.attach("r.example/a", subject, oci.SuffixSignature, 2)
		f.attach("r.example/b", subject, oci.SuffixSignature, 2)
		other := f.attach("r.example/b", subject, oci.SuffixAttestation, 3)
		f.hasAttachments(subject.Digest, one, other)
	}},
	{"AnIndexIsNoAttachment", func(f *fixture) {
		subject, _ := f.image(1)
		f.name("r.example/app:v1", subject)
		other, _ := f.image(2)
		f.name("r.example/app:"+oci.AttachmentTag(subject.Digest, oci.SuffixSignature), f.putJSON(oci.MediaTypeIndex, indexOf(other)))
		f.hasAttachments(subject.Digest)
	}},
}

// absentSHA512 is of an algorithm whose digests are too long for such tags.
const absentSHA512 = oci.Digest("sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e")

func (f *fixture) name(name string, desc oci.Descriptor) {
	f.Helper()
	ref, err := oci.ParseReference(name)
	f.must(err)
	f.must(f.SetNames(f.Context(), content.NameChange{Reference: ref, Target: desc.Digest, Why: "test"}))
}

// attach gives an image the tag of an attachment to subject, and returns it as
// Attachments should.
func (f *fixture) attach(repo string, subject oci.Descriptor, suffix string, seed uint64) content.Attachment {
	f.Helper()
	desc, _ := f.image(seed)
	f.name(repo+":"+oci.AttachmentTag(subject.Digest, suffix), desc)
	return content.Attachment{Suffix: suffix, Descriptor: desc}
}

// hasAttachments checks what is listed, in its order. To list attachments is no must
// for a store.
func (f *fixture) hasAttachments(subject oci.Digest, want ...content.Attachment) {
	f.Helper()
	lister, ok := f.Store.(content.AttachmentLister)
	if !ok {
		f.Skip("it lists no attachments")
	}
	var got []content.Attachment
	for a, err := range lister.Attachments(f.Context(), subject) {
		f.must(err)
		got = append(got, a)
	}
	same := func(a, b content.Attachment) bool {
		return a.Suffix == b.Suffix && a.MediaType == b.MediaType && a.Digest == b.Digest && a.Size == b.Size
	}
	if !slices.EqualFunc(got, want, same) {
		f.Errorf("Attachments lists %+v, want %+v", got, want)
	}
}
