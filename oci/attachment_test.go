package oci

import (
	"strings"
	"testing"
)

func TestAttachmentTags(t *testing.T) {
	t.Parallel()
	d := DigestBytes([]byte("x"))
	for _, suffix := range AttachmentSuffixes() {
		tag := AttachmentTag(d, suffix)
		if want := "sha256-" + d.Encoded() + "." + suffix; tag != want {
			t.Errorf("the tag is %q, want %q", tag, want)
		}
		if got, s, ok := ParseAttachmentTag(tag); !ok || got != d || s != suffix {
			t.Errorf("%s is of %s, %q, %v", tag, got, s, ok)
		}
		if KindOfSuffix(suffix) == "" {
			t.Errorf("%q stands for no kind", suffix)
		}
	}
	if tag := AttachmentTag(SHA512.FromBytes([]byte("x")), SuffixSignature); tag != "" {
		t.Errorf("a tag of %d characters is none: %s", len(tag), tag)
	}
}

func TestASuffixStandsForAKind(t *testing.T) {
	t.Parallel()
	for suffix, want := range map[string]Kind{"sig": KindSignature, "att": KindAttestation, "sbom": KindSBOM, "": "", "v1": "", ".sig": ""} {
		if got := KindOfSuffix(suffix); got != want {
			t.Errorf("%q stands for %q, want %q", suffix, got, want)
		}
	}
}

func TestTagsOfNoAttachment(t *testing.T) {
	t.Parallel()
	hex := DigestBytes([]byte("x")).Encoded()
	for _, tag := range []string{
		"", "v1", "v1.sig", ".sig", "sha256-" + hex, "sha256-" + hex + ".", "sha256-" + hex + ".sig.sig", "sha256-" + hex + ".SIG",
		"sha256-" + hex + ".other", "sha256:" + hex + ".sig", "sha256-" + hex[1:] + ".sig", "sha256-" + strings.ToUpper(hex) + ".sig",
		"md5-d41d8cd98f00b204e9800998ecf8427e.sig", "sha512-" + hex + hex + ".sig", "sha256-" + hex[:63] + ":.sig",
	} {
		if d, suffix, ok := ParseAttachmentTag(tag); ok {
			t.Errorf("%q is about %s, a %s", tag, d, suffix)
		}
	}
}

func FuzzParseAttachmentTag(f *testing.F) {
	f.Add("sha256-" + DigestBytes(nil).Encoded() + ".sig")
	f.Add("sha256-.att")
	f.Fuzz(func(t *testing.T, tag string) {
		subject, suffix, ok := ParseAttachmentTag(tag)
		if !ok {
			return
		}
		if back := AttachmentTag(subject, suffix); back != tag {
			t.Errorf("%q comes back as %q", tag, back)
		}
	})
}
