package oci

import (
	"maps"
	"strings"
	"testing"
)

func TestReferrersTag(t *testing.T) {
	for d, want := range map[Digest]string{
		DigestBytes(nil):      "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		SHA512.FromBytes(nil): "sha512-cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce",
	} {
		got := ReferrersTag(d)
		if got != want || !IsTag(got) {
			t.Errorf("%s has the tag %s, want %s", d, got, want)
		}
		if !IsReferrersTag(got) || !IsReferrersTag(got+".sig") {
			t.Errorf("%s is not known again", got)
		}
	}
	for _, tag := range []string{"", "v1", "sha256-abc", "sha512-" + strings.Repeat("a", 63), "sha512-" + strings.Repeat("g", 64), "md5-" + strings.Repeat("a", 64), strings.Repeat("a", 64)} {
		if IsReferrersTag(tag) {
			t.Errorf("%q is taken for the tag of referrers", tag)
		}
	}
}

func TestReferrerEntry(t *testing.T) {
	d := Descriptor{MediaType: MediaTypeManifest, Digest: DigestBytes([]byte("d")), Size: 10}
	subject := DigestBytes([]byte("subject"))
	about := `"subject":{"mediaType":"a/b","digest":"` + subject.String() + `","size":1}`
	for data, want := range map[string]Descriptor{
		`{"artifactType":"a/type",` + about + `,"annotations":{"k":"v"}}`: {ArtifactType: "a/type", Annotations: map[string]string{"k": "v"}},
		`{"config":{"mediaType":"a/config"},` + about + `}`:               {ArtifactType: "a/config"},
	} {
		got, of := ReferrerEntry(d, []byte(data))
		if of != subject || got.Digest != d.Digest || got.ArtifactType != want.ArtifactType || !maps.Equal(got.Annotations, want.Annotations) {
			t.Errorf("%s: %+v about %s", data, got, of)
		}
	}
	for _, data := range []string{``, `{}`, `{"subject":{"digest":"sha256:zz"}}`} {
		if _, of := ReferrerEntry(d, []byte(data)); of != "" {
			t.Errorf("%q is about %s", data, of)
		}
	}
}
