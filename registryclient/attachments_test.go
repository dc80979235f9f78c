package registryclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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

// attach pushes an image's blobs and gives it the tag of a signature of subject.
func attach(t *testing.T, r *registryclient.Repository, reg *registrytest.Registry, path string, subject, old oci.Digest, layer string) (oci.Descriptor, error) {
	t.Helper()
	desc := reg.PushImage(path+":other", []byte(layer))
	_, data, err := r.FetchManifest(t.Context(), oci.Reference{Digest: desc.Digest})
	if err != nil {
		t.Fatal(err)
	}
	return desc, r.Attach(t.Context(), subject, oci.SuffixSignature, desc, data, old)
}

func TestAttachMovesTheTagByCompareAndSet(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	subject := reg.PushImage("app:v1", []byte("layer")).Digest
	app := open(t, reg, "app").ForPush()
	if _, _, err := app.Attached(t.Context(), subject, oci.SuffixSignature); !errors.Is(err, content.ErrNotFound) {
		t.Fatalf("of an image without any: %v", err)
	}
	before := reg.Count(registrytest.Match{})
	first, err := attach(t, app, reg, "app", subject, "", "first")
	if err != nil {
		t.Fatal(err)
	}
	if n := reg.Count(registrytest.Match{}) - before; n != 1+1+registryclient.AttachRequests {
		t.Errorf("%d requests, want that for the manifest, the tag and %d", n, registryclient.AttachRequests)
	}
	desc, data, err := app.Attached(t.Context(), subject, oci.SuffixSignature)
	if err != nil || desc.Digest != first.Digest || oci.DigestBytes(data) != first.Digest {
		t.Errorf("the tag names %s, %v", desc.Digest, err)
	}
	if _, err := attach(t, app, reg, "app", subject, "", "second"); !errors.Is(err, content.ErrConflict) {
		t.Errorf("a tag that is there in place of none: %v", err)
	}
	if second, err := attach(t, app, reg, "app", subject, first.Digest, "second"); err != nil {
		t.Error(err)
	} else if _, err := attach(t, app, reg, "app", subject, first.Digest, "third"); !errors.Is(err, content.ErrConflict) {
		t.Errorf("a tag that has moved to %s: %v", second.Digest, err)
	}
}

func TestAnAttachmentWithoutATagIsUnsupported(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	subject := oci.SHA512.FromBytes([]byte("x"))
	app := open(t, reg, "app").ForPush()
	if _, _, err := app.Attached(t.Context(), subject, oci.SuffixSignature); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("Attached gives %v", err)
	}
	if _, err := attach(t, app, reg, "app", subject, "", "first"); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("Attach gives %v", err)
	}
}

// A registry that knows no conditions lets the last one win; the other finds out.
func TestAttachSeesThatATagDoesNotStand(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	subject := reg.PushImage("app:v1", []byte("layer")).Digest
	tag := oci.AttachmentTag(subject, oci.SuffixSignature)
	other := reg.PushImage("app:"+tag, []byte("another"))
	reg.Inject(registrytest.Match{Method: http.MethodPut, Path: "/manifests/" + tag}, registrytest.Answer(http.StatusCreated))
	_, err := attach(t, open(t, reg, "app").ForPush(), reg, "app", subject, "", "first")
	if !errors.Is(err, content.ErrConflict) || !strings.Contains(err.Error(), other.Digest.String()) {
		t.Errorf("got %v", err)
	}
}

// behind is a repository of a registry that is out of reach, which reg is a mirror of.
func behind(t *testing.T, reg *registrytest.Registry, path string) *registryclient.Repository {
	t.Helper()
	dir := t.TempDir()
	hosts := fmt.Sprintf("server = \"http://127.0.0.1:1\"\n[host.\"http://%s\"]\n", reg.Host)
	if err := os.MkdirAll(filepath.Join(dir, "r.test"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "r.test", "hosts.toml"), []byte(hosts), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := registryclient.New(registryclient.Options{
		HostsDirs: []string{dir}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true, RetryBase: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c.Repository(oci.Reference{Registry: "r.test", Repository: path})
}

// The word of a mirror that has the image counts: the registry behind it may be out
// of reach.
func TestAMirrorsWordCountsForAttachments(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	image := reg.PushImage("app:v1", []byte("layer"))
	app := behind(t, reg, "app")
	if _, err := app.Resolve(t.Context(), oci.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	if found, err := attachments(t, app, image.Digest); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	sig := reg.PushImage("app:"+oci.AttachmentTag(image.Digest, oci.SuffixSignature), []byte("signature"))
	if found, err := attachments(t, app, image.Digest); err != nil || len(found) != 1 || found[0].Digest != sig.Digest {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := attachments(t, behind(t, reg, "other"), image.Digest); err == nil {
		t.Errorf("of a repository that the mirror does not have: %v", found)
	}
}

// signedImage is the same image each time, in a registry with a signature of its own.
func signedImage(t *testing.T, n int) (*registrytest.Registry, *registryclient.Repository, oci.Descriptor) {
	t.Helper()
	reg := registrytest.New(t, registrytest.Options{})
	root := reg.PushPlatforms("app:v1", "linux/amd64")
	reg.PushImage("app:"+oci.AttachmentTag(root.Digest, oci.SuffixSignature), fmt.Append(nil, "signature ", n))
	return reg, open(t, reg, "app"), root
}

// Of signatures that come at once from several places, none is lost, also where the
// registry knows no conditions.
func TestManyAttachAtOnce(t *testing.T) {
	const many = 6
	to := registrytest.New(t, registrytest.Options{NoETags: true})
	dst := open(t, to, "copy")
	var (
		g    errgroup.Group
		root oci.Descriptor
	)
	for n := range many {
		_, src, desc := signedImage(t, n)
		root = desc
		g.Go(func() error {
			_, err := content.Copy(t.Context(), dst.ForPush(), src, desc, content.CopyOptions{Referrers: true})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	_, data, err := dst.ForPush().Attached(t.Context(), root.Digest, oci.SuffixSignature)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := oci.ParseManifest(oci.MediaTypeManifest, data); err != nil || len(m.Layers) != many {
		t.Errorf("%d signatures of %d, %v", len(m.Layers), many, err)
	}
}

func TestAPlanCountsRequestsForAttachments(t *testing.T) {
	to := registrytest.New(t, registrytest.Options{})
	dst := open(t, to, "copy").ForPush()
	for _, n := range []int{0, 0, 1, 1} { // new, there, joined, there
		from, src, root := signedImage(t, n)
		plan, err := content.PlanCopy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true})
		if err != nil {
			t.Fatal(err)
		}
		from.Forget()
		to.Forget()
		stats, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true})
		if err != nil {
			t.Fatal(err)
		}
		made := int64(from.Count(registrytest.Match{}) + to.Count(registrytest.Match{}))
		if want := plan.Requests + registryclient.AttachRequests*int64(len(plan.Attachments)); made != want {
			t.Errorf("planned %d requests, made %d", want, made)
		}
		if plan.MoveBytes != stats.MovedBytes || plan.HeldBytes != stats.ReusedBytes || stats.Referrers != 1 {
			t.Errorf("planned %+v, made %+v", plan, stats)
		}
	}
}
