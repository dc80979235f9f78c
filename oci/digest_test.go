package oci_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"dist.example/oci"
)

const (
	hex64  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	hex128 = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

func TestParseDigest(t *testing.T) {
	for _, s := range []string{"sha256:" + hex64, "sha512:" + hex128} {
		if d, err := oci.ParseDigest(s); err != nil || d.String() != s {
			t.Errorf("%s: %s, %v", s, d, err)
		}
	}
	for _, s := range []string{
		"", ":", "sha256", "sha256:", hex64, "sha256:" + hex64[:63], "sha256:" + hex64 + "0",
		"sha256:" + strings.ToUpper(hex64), "SHA256:" + hex64, "sha256:" + hex64 + "\n", " sha256:" + hex64,
		"sha512:" + hex64, "sha256:" + hex128, "sha384:" + hex64, "md5:d41d8cd98f00b204e9800998ecf8427e",
		"sha256:" + hex64[:63] + "g", "sha256+b64:" + hex64, "sha256:" + hex64 + "@sha256:" + hex64,
	} {
		if d, err := oci.ParseDigest(s); !errors.Is(err, oci.ErrInvalid) || d != "" {
			t.Errorf("%q: %q, %v", s, d, err)
		}
	}
}

func TestRawDigestRoundTrip(t *testing.T) {
	for s, n := range map[string]int{"sha256:" + hex64: 33, "sha512:" + hex128: 65} {
		raw, err := oci.RawDigest(oci.Digest(s))
		if err != nil || len(raw) != n {
			t.Fatalf("%s: %x, %v", s, raw, err)
		}
		if d, err := oci.DigestFromRaw(raw); err != nil || d.String() != s {
			t.Errorf("%s comes back as %s, %v", s, d, err)
		}
	}
}

func TestRawDigestRefusesWhatIsNoDigest(t *testing.T) {
	for _, s := range []string{
		"", "sha256", "sha256:", "sha256:ab", "sha256:" + strings.ToUpper(hex64), "sha512:" + hex64, "md5:ab", "sha256:" + hex64[:63] + "g",
	} {
		if raw, err := oci.RawDigest(oci.Digest(s)); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%q: %x, %v", s, raw, err)
		}
	}
	for _, raw := range [][]byte{nil, {}, {1}, make([]byte, 33), append([]byte{2}, make([]byte, 32)...), append([]byte{1}, make([]byte, 64)...)} {
		if d, err := oci.DigestFromRaw(raw); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%x: %s, %v", raw, d, err)
		}
	}
}

func TestDigestBytesAndReaderAgree(t *testing.T) {
	d, n, err := oci.DigestReader(strings.NewReader("content"))
	if err != nil || n != 7 || d != oci.DigestBytes([]byte("content")) || oci.DigestBytes(nil) != "sha256:"+hex64 {
		t.Errorf("%s, %d, %v", d, n, err)
	}
}

func FuzzParseDigest(f *testing.F) {
	for _, s := range []string{"", "sha256:" + hex64, "sha512:" + hex128, "sha256:", "md5:00", strings.ToUpper("sha256:" + hex64), "a:b:c", hex64, "sha256:" + hex64 + "\n", "sha384:" + hex64 + hex64[:32], "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", "blake3:" + hex64, "sha256:" + hex128, "sha512:" + hex64, "tarsum.v1+sha256:" + hex64} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := oci.ParseDigest(s)
		if (err == nil) != (d != "") || (err != nil && !errors.Is(err, oci.ErrInvalid)) {
			t.Fatalf("%q: %q, %v", s, d, err)
		}
		raw, rerr := oci.RawDigest(oci.Digest(s))
		if (rerr == nil) != (err == nil) {
			t.Fatalf("%q: ParseDigest says %v, RawDigest %v", s, err, rerr)
		}
		if err != nil {
			return
		}
		if algorithm, hex, _ := strings.Cut(s, ":"); d.String() != s || d.Algorithm().String() != algorithm || d.Encoded() != hex {
			t.Errorf("%q is %s of %s", s, d.Algorithm(), d.Encoded())
		}
		back, err := oci.DigestFromRaw(raw)
		if err != nil || back != d || d.Validate() != nil {
			t.Errorf("%q comes back as %q, %v", s, back, err)
		}
		if again, err := oci.RawDigest(back); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%q: raw %x and %x", s, raw, again)
		}
	})
}
