package bundle

import (
	"encoding/base64"
	"fmt"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// AboutList names manifests about images. As text it is the base64 of its entries, one
// after the other, since a delta is to be small: a byte, 0 for a referrer or what kind of
// attachment it is, counted from 1 as oci.AttachmentSuffixes does, then the digest in its
// raw form (oci.RawDigest), and of an attachment its subject's.
type AboutList []BaseAbout

// BaseAbout is a manifest about an image that the receiver is to have.
type BaseAbout struct {
	Digest oci.Digest
	// Suffix is the kind of an attachment, and Subject what it is about; both "" for a
	// referrer.
	Suffix  string
	Subject oci.Digest
}

// MarshalText implements encoding.TextMarshaler.
func (l AboutList) MarshalText() ([]byte, error) {
	var all []byte
	for _, a := range l {
		all = append(all, byte(slices.Index(oci.AttachmentSuffixes(), a.Suffix)+1))
		digests := []oci.Digest{a.Digest}
		if a.Suffix != "" {
			digests = append(digests, a.Subject)
		}
		for _, d := range digests {
			raw, err := oci.RawDigest(d)
			if err != nil {
				return nil, err
			}
			all = append(all, raw...)
		}
	}
	return base64.StdEncoding.AppendEncode(nil, all), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. Errors: ErrInvalid.
func (l *AboutList) UnmarshalText(text []byte) error {
	rest, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("what is about the base: %w: %v", content.ErrInvalid, err)
	}
	suffixes := append([]string{""}, oci.AttachmentSuffixes()...)
	*l = nil
	for len(rest) > 0 {
		kind := int(rest[0])
		if kind >= len(suffixes) {
			return fmt.Errorf("what is about the base: %w: kind %d is not known", content.ErrInvalid, kind)
		}
		a := BaseAbout{Suffix: suffixes[kind]}
		if a.Digest, rest, err = oci.CutRawDigest(rest[1:]); err == nil && kind > 0 {
			a.Subject, rest, err = oci.CutRawDigest(rest)
		}
		if err != nil {
			return fmt.Errorf("what is about the base: %w", err)
		}
		*l = append(*l, a)
	}
	return nil
}
