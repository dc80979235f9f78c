package oci_test

import (
	"testing"

	"dist.example/oci"
)

func TestSizesAreForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "?", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB",
		1<<20 - 1: "1.0 MiB", 1 << 20: "1.0 MiB", 1 << 30: "1.0 GiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := oci.HumanSize(n); got != want {
			t.Errorf("HumanSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDigestsAreShortForPeople(t *testing.T) {
	for d, want := range map[oci.Digest]string{
		"": "-", oci.DigestBytes([]byte("a")): "sha256:ca978112ca1b", oci.SHA512.FromBytes([]byte("a")): "sha512:1f40fc92da24",
	} {
		if got := oci.ShortDigest(d); got != want {
			t.Errorf("ShortDigest(%q) = %q, want %q", d, got, want)
		}
	}
}
