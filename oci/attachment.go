package oci

import (
	"slices"
	"strings"
)

// The kinds of attachments: what follows the last dot of their tags.
const (
	SuffixSignature   = "sig"
	SuffixAttestation = "att"
	SuffixSBOM        = "sbom"
)

// AttachmentSuffixes lists the kinds of attachments, signatures first.
func AttachmentSuffixes() []string {
	return []string{SuffixSignature, SuffixAttestation, SuffixSBOM}
}

// KindOfSuffix is the kind that a suffix stands for, "" for none of those there are.
func KindOfSuffix(suffix string) Kind {
	switch suffix {
	case SuffixSignature:
		return KindSignature
	case SuffixAttestation:
		return KindAttestation
	case SuffixSBOM:
		return KindSBOM
	}
	return ""
}

// AttachmentTag is the tag of what is about subject by that tag alone:
// ALG-HEX.SUFFIX, as cosign has it. With the suffix "" it is what all of subject's begin
// with. It is "" where there can be no such tag: of a sha512 digest it would be longer
// than tags may be.
func AttachmentTag(subject Digest, suffix string) string {
	tag := subject.Algorithm().String() + "-" + subject.Encoded() + "." + suffix
	if !IsTag(tag) {
		return ""
	}
	return tag
}

// ParseAttachmentTag is the inverse of AttachmentTag, for the suffixes that there are.
func ParseAttachmentTag(tag string) (subject Digest, suffix string, ok bool) {
	base, suffix, _ := strings.Cut(tag, ".")
	if !IsTag(tag) || !slices.Contains(AttachmentSuffixes(), suffix) {
		return "", "", false
	}
	subject, err := ParseDigest(strings.Replace(base, "-", ":", 1))
	return subject, suffix, err == nil
}
