package registryclient_test

import (
	"net/http"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

func attachments(t *testing.T, r *registryclient.Repository, subject oci.Digest) (found []content.Attachment, err error) {
	t.Helper()
	for a, err := range r.Attachments(t.Context(), subject) {
		if err != nil {
			return found, err
		}
		found = append(found, a)
	}
	return found, nil
}

func TestAttachmentsAreWhatHasTheirTags(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	image := reg.PushImage("app:v1", []byte("layer"))
	app := open(t, reg, "app")
	for _, subject := range []oci.Digest{image.Digest, oci.SHA512.FromBytes([]byte("x"))} {
		if found, err := attachments(t, app, subject); err != nil || len(found) != 0 {
			t.Fatalf("of an image without any: %v, %v", found, err)
		}
	}
	if n := reg.Count(registrytest.Match{Method: http.MethodHead, Path: "/manifests/"}); n != 3 {
		t.Errorf("%d requests, want one for each kind", n)
	}
	list := reg.PushImage("app:"+oci.AttachmentTag(image.Digest, oci.SuffixSBOM), []byte("list"))
	sig := reg.PushImage("app:"+oci.AttachmentTag(image.Digest, oci.SuffixSignature), []byte("signature"))
	found, err := attachments(t, app, image.Digest)
	if err != nil || len(found) != 2 || found[0].Digest != sig.Digest || found[0].Suffix != "sig" || found[1].Digest != list.Digest || found[1].Suffix != "sbom" {
		t.Errorf("%+v, %v, want %s and %s", found, err, sig.Digest, list.Digest)
	}
	if found, err := attachments(t, open(t, reg, "other"), image.Digest); err != nil || len(found) != 0 {
		t.Errorf("in another repository: %v, %v", found, err)
	}
}

// Who wants the signature alone pays for that alone.
func TestAttachmentsAreAskedForOneByOne(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	image := reg.PushImage("app:v1", []byte("layer"))
	reg.PushImage("app:"+oci.AttachmentTag(image.Digest, oci.SuffixSignature), []byte("signature"))
	for range open(t, reg, "app").Attachments(t.Context(), image.Digest) {
		break
	}
	if n := reg.Count(registrytest.Match{Path: "/manifests/sha256-"}); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestARegistryThatRefusesIsNoEmptyOne(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	image := reg.PushImage("app:v1", []byte("layer"))
	reg.Inject(registrytest.Match{Path: ".att"}, registrytest.Answer(http.StatusForbidden))
	if found, err := attachments(t, open(t, reg, "app"), image.Digest); err == nil {
		t.Errorf("got %v", found)
	}
}
