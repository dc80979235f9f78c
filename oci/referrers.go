package oci

import (
	"encoding/json"
	"strings"
)

// How much of an algorithm's name and of the hex digits a ReferrersTag has.
const (
	tagAlgorithm = 32
	tagEncoded   = 64
)

// ReferrersTag is the tag of the index that lists what is about subject, where there is
// no API for that (distribution-spec 1.1, referrers tag schema).
func ReferrersTag(subject Digest) string {
	tag := cut(string(subject.Algorithm()), tagAlgorithm) + "-" + cut(subject.Encoded(), tagEncoded)
	return strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || c == '.' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			return c
		}
		return '-'
	}, tag)
}

func cut(s string, n int) string { return s[:min(n, len(s))] }

// IsReferrersTag says whether tag is a ReferrersTag of a digest that can be checked, alone
// or with a suffix such as .sig: what is about a manifest is kept there, and no image.
func IsReferrersTag(tag string) bool {
	base, _, _ := strings.Cut(tag, ".")
	name, encoded, _ := strings.Cut(base, "-")
	digest := name + ":" + encoded
	if a := Algorithm(name); a.Available() && len(encoded) == tagEncoded {
		digest += strings.Repeat("0", a.Size()*2-tagEncoded) // what the tag has no room for
	}
	_, err := ParseDigest(digest)
	return err == nil
}

// ReferrerEntry is the manifest desc, whose bytes are data, as an index of referrers lists
// it: with its artifactType, or else the media type of its config, and its annotations
// (distribution-spec 1.1, listing referrers). subject is what it is about, "" for nothing.
func ReferrerEntry(desc Descriptor, data []byte) (entry Descriptor, subject Digest) {
	var m struct {
		Subject      *Descriptor       `json:"subject"`
		ArtifactType string            `json:"artifactType"`
		Config       *Descriptor       `json:"config"`
		Annotations  map[string]string `json:"annotations"`
	}
	if json.Unmarshal(data, &m) != nil || m.Subject == nil {
		return desc, ""
	}
	subject, err := ParseDigest(m.Subject.Digest.String())
	if err != nil {
		return desc, ""
	}
	entry = Descriptor{
		MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size,
		ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	}
	if entry.ArtifactType == "" && m.Config != nil {
		entry.ArtifactType = m.Config.MediaType
	}
	return entry, subject
}
