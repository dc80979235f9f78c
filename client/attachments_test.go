package client

import (
	"errors"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// Copy warns of an attachment that a target does not support, and goes on. That has
// to hold for the store and for a plan as for all others.
func TestAnAttachmentWithoutATagIsUnsupported(t *testing.T) {
	repo, err := oci.ParseReference("r.example/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	subject := oci.SHA512.FromString("x")
	store := attachingTo{newAttachedNames(nil), repo}
	for name, to := range map[string]content.AttachmentHolder{"the store": store, "nothing": nothing{}} {
		if _, _, err := to.Attached(t.Context(), subject, oci.SuffixSignature); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("Attached of %s gives %v", name, err)
		}
	}
	if err := store.Attach(t.Context(), subject, oci.SuffixSignature, oci.Descriptor{}, nil, ""); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("Attach gives %v", err)
	}
}
