package registryclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
	"golang.org/x/sync/errgroup"
)

const (
	sbomType      = "application/vnd.example.sbom"
	signatureType = "application/vnd.example.signature"
)

// referrers lists into a slice.
func referrers(r *registryclient.Repository, subject oci.Digest, artifactType string) (found []oci.Descriptor, err error) {
	for d, err := range r.Referrers(context.Background(), subject, artifactType) {
		if err != nil {
			return found, err
		}
		found = append(found, d)
	}
	return found, nil
}

func digests(ds []oci.Descriptor) (out []oci.Digest) {
	for _, d := range ds {
		out = append(out, d.Digest)
	}
	slices.Sort(out)
	return out
}

// artifact is a manifest about subject, with the empty config that reg is given.
func artifact(t *testing.T, reg *registrytest.Registry, subject oci.Descriptor, artifactType, note string) (oci.Descriptor, []byte) {
	t.Helper()
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: artifactType, Config: reg.PutBlob(oci.MediaTypeEmpty, []byte("{}")),
		Subject: &subject, Annotations: map[string]string{"note": note},
	}
	m.Layers = []oci.Descriptor{m.Config}
	m.SchemaVersion = 2
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return oci.Descriptor{MediaType: m.MediaType, Digest: oci.DigestBytes(data), Size: int64(len(data))}, data
}

func TestReferrersByTheAPIAndByTheTag(t *testing.T) {
	for name, old := range map[string]bool{"API": false, "tag": true} {
		t.Run(name, func(t *testing.T) {
			reg := registrytest.New(t, registrytest.Options{NoReferrers: old})
			image := reg.PushImage("app:v1", []byte("layer"))
			app := open(t, reg, "app")
			if found, err := referrers(app, image.Digest, ""); err != nil || len(found) != 0 {
				t.Fatalf("of an image without any: %v, %v", found, err)
			}
			sbom, sbomData := artifact(t, reg, image, sbomType, "a list")
			sig, sigData := artifact(t, reg, image, signatureType, "a signature")
			for d, data := range map[oci.Digest][]byte{sbom.Digest: sbomData, sig.Digest: sigData} {
				desc := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: d, Size: int64(len(data))}
				for range 2 { // the second time changes nothing
					if err := app.ForPush().PushManifest(t.Context(), desc, data); err != nil {
						t.Fatal(err)
					}
				}
			}
			all, err := referrers(app, image.Digest, "")
			if want := digests([]oci.Descriptor{sbom, sig}); err != nil || !slices.Equal(digests(all), want) {
				t.Fatalf("%v, %v, want %v", digests(all), err, want)
			}
			for _, d := range all {
				if d.MediaType != oci.MediaTypeManifest || d.Size == 0 || d.ArtifactType == "" || d.Annotations["note"] == "" {
					t.Errorf("an entry without what it should tell: %+v", d)
				}
			}
			one, err := referrers(app, image.Digest, signatureType)
			if err != nil || len(one) != 1 || one[0].Digest != sig.Digest {
				t.Errorf("of one type: %v, %v", one, err)
			}
			asked := reg.Count(registrytest.Match{Path: "/referrers/"})
			if old && asked != 1 {
				t.Errorf("an API that is not there was asked for %d times", asked)
			}
		})
	}
}

func TestReferrersThroughWhatRegistriesAnswer(t *testing.T) {
	var image oci.Descriptor
	listOf := func(ds ...oci.Descriptor) []byte {
		x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: ds}
		x.SchemaVersion = 2
		data, _ := json.Marshal(x)
		return data
	}
	body := func(contentType string, data []byte) registrytest.Fault {
		return registrytest.Rewrite(func(a *registrytest.Response) {
			a.Header.Set("Content-Type", contentType)
			a.Header.Del("OCI-Filters-Applied")
			a.Body = data
		})
	}
	bad := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: "sha256:beef", Size: 1}
	good := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes([]byte("x")), Size: 1, ArtifactType: sbomType}
	for _, tc := range []struct {
		name  string
		fault registrytest.Fault
		n     int // found
		want  error
		text  string
	}{
		{"a filter that is ignored", body(oci.MediaTypeIndex, listOf(good, oci.Descriptor{MediaType: good.MediaType, Digest: oci.DigestBytes(nil)})), 1, nil, ""},
		{"a vague type", body(oci.MediaTypeJSON, listOf(good)), 1, nil, ""},
		{"null", body(oci.MediaTypeIndex, []byte(`{"schemaVersion":2,"manifests":null}`)), 0, nil, ""},
		{"a page for people", body("text/html", []byte("<html>welcome")), 0, nil, ""},
		{"404", registrytest.Answer(http.StatusNotFound), 0, nil, ""},
		{"405", registrytest.Answer(http.StatusMethodNotAllowed), 0, nil, ""},
		{"400", registrytest.Answer(http.StatusBadRequest), 0, nil, ""},
		{"403", registrytest.Answer(http.StatusForbidden), 0, content.ErrDenied, "referrers of"},
		{"no JSON", body(oci.MediaTypeIndex, []byte("{")), 0, content.ErrCorrupt, "referrers of"},
		{"a bad digest", body(oci.MediaTypeIndex, listOf(bad)), 0, content.ErrCorrupt, "beef"},
		{"a large answer", registrytest.Lengthen(make([]byte, 5<<20)), 0, content.ErrUnavailable, "more than"},
		{"a circle", registrytest.SetHeader("Link", `<?a=1>; rel="next"`), 0, content.ErrUnavailable, "circle"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reg := registrytest.New(t, registrytest.Options{})
			image = reg.PushImage("app:v1", []byte("layer"))
			reg.Inject(registrytest.Match{Path: "/referrers/"}, tc.fault)
			found, err := referrers(open(t, reg, "app"), image.Digest, sbomType)
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil || len(found) != tc.n {
				t.Fatalf("%d, %v; want %d, %v", len(found), err, tc.n, tc.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), image.Digest.String())) {
				t.Errorf("the error %q does not say %q and of what", err, tc.text)
			}
		})
	}
}

func TestReferrersPageByPage(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	image := reg.PushImage("app:v1", []byte("layer"))
	var want []oci.Descriptor
	for i := range 5 {
		want = append(want, reg.PushArtifact(image, sbomType, []byte(fmt.Sprint(i))))
	}
	reg.Inject(registrytest.Match{Path: "/referrers/"}, func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		from := 0
		_, _ = fmt.Sscan(req.URL.Query().Get("from"), &from)
		registrytest.Rewrite(func(a *registrytest.Response) {
			var x oci.Index
			_ = json.Unmarshal(a.Body, &x)
			to := min(from+2, len(x.Manifests))
			if to < len(x.Manifests) {
				a.Header.Set("Link", fmt.Sprintf(`<%s?from=%d>; rel="next"`, req.URL.Path, to))
			}
			x.Manifests = x.Manifests[from:to]
			a.Body, _ = json.Marshal(x)
		})(w, req, next)
	})
	found, err := referrers(open(t, reg, "app"), image.Digest, "")
	if err != nil || !slices.Equal(digests(found), digests(want)) {
		t.Errorf("%d, %v, want 5", len(found), err)
	}
	if n := reg.Count(registrytest.Match{Path: "/referrers/"}); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestWhatHasTheFallbackTagIsNotOverwritten(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{NoReferrers: true})
	image := reg.PushImage("app:v1", []byte("layer"))
	tag := strings.Replace(image.Digest.String(), ":", "-", 1)
	other := reg.PushImage("app:"+tag, []byte("an image in the way"))
	app := open(t, reg, "app")
	desc, data := artifact(t, reg, image, sbomType, "a list")
	if err := app.ForPush().PushManifest(t.Context(), desc, data); !errors.Is(err, content.ErrConflict) || !strings.Contains(err.Error(), tag) {
		t.Errorf("%v, want ErrConflict that names the tag", err)
	}
	if got, err := app.Resolve(t.Context(), oci.Reference{Tag: tag}); err != nil || got.Digest != other.Digest {
		t.Errorf("the tag names %v now, %v", got.Digest, err)
	}
	if _, err := referrers(app, image.Digest, ""); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("listing gives %v, want ErrUnsupported", err)
	}
}

func TestEntriesOfOthersStayAsTheyAre(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{NoReferrers: true})
	image := reg.PushImage("app:v1", []byte("layer"))
	theirs := reg.PushArtifact(image, signatureType, []byte("theirs"))
	tag := strings.Replace(image.Digest.String(), ":", "-", 1)
	entry := map[string]any{"mediaType": theirs.MediaType, "digest": theirs.Digest, "size": theirs.Size, "vnd.example": "kept"}
	reg.PutManifest("app:"+tag, oci.MediaTypeIndex, map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "manifests": []any{entry}, "annotations": map[string]string{"a": "kept too"},
	})
	app := open(t, reg, "app")
	desc, data := artifact(t, reg, image, sbomType, "a list")
	if err := app.ForPush().PushManifest(t.Context(), desc, data); err != nil {
		t.Fatal(err)
	}
	_, got, err := app.FetchManifest(t.Context(), oci.Reference{Tag: tag})
	if err != nil || !strings.Contains(string(got), `"vnd.example":"kept"`) || !strings.Contains(string(got), `"kept too"`) {
		t.Errorf("%s, %v", got, err)
	}
	if found, err := referrers(app, image.Digest, ""); err != nil || len(found) != 2 {
		t.Errorf("%v, %v", found, err)
	}
}

// With conditions nobody's entry can be lost, whoever writes when.
func TestManyPushersWithETags(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{NoReferrers: true})
	pushAtOnce(t, reg, func() *registryclient.Repository { return open(t, reg, "app") })
}

// Without them those of one Client go one after the other.
func TestManyPushersOfOneClientWithoutETags(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{NoReferrers: true, NoETags: true})
	app := open(t, reg, "app")
	pushAtOnce(t, reg, func() *registryclient.Repository { return app })
}

func pushAtOnce(t *testing.T, reg *registrytest.Registry, repo func() *registryclient.Repository) {
	image := reg.PushImage("app:v1", []byte("layer"))
	var (
		g    errgroup.Group
		want []oci.Descriptor
	)
	for i := range 16 {
		desc, data := artifact(t, reg, image, sbomType, fmt.Sprint(i))
		want = append(want, desc)
		to := repo().ForPush()
		g.Go(func() error { return to.PushManifest(t.Context(), desc, data) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := referrers(open(t, reg, "app"), image.Digest, "")
	if err != nil || !slices.Equal(digests(found), digests(want)) {
		t.Errorf("%d of %d are entered, %v", len(found), len(want), err)
	}
}

// A plan's requests are those that the copy makes, as registries count them.
func TestAPlanCountsRequests(t *testing.T) {
	from := registrytest.New(t, registrytest.Options{})
	root := from.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
	from.PushArtifact(from.PushArtifact(root, sbomType, []byte("a list")), signatureType, []byte("its signature"))
	src, shared := open(t, from, "app"), registrytest.Bytes(1, 100_000)
	for _, referrers := range []bool{false, true} {
		for _, mount := range []bool{false, true} {
			to := registrytest.New(t, registrytest.Options{})
			dst := open(t, to, "copy").ForPush()
			// Blobs are the whole test registry's, so that what is there need not be mounted.
			to.Inject(registrytest.Match{Method: "HEAD", Digest: oci.DigestBytes(shared), Times: 2}, registrytest.Answer(http.StatusNotFound))
			to.PutBlob(oci.MediaTypeLayer, shared)
			opts := content.CopyOptions{Referrers: referrers, MountFrom: func(d oci.Descriptor) []oci.Reference {
				if !mount || d.Digest != oci.DigestBytes(shared) {
					return nil
				}
				return []oci.Reference{{Registry: to.Host, Repository: "other"}}
			}}
			for range 2 { // then all is there
				plan, err := content.PlanCopy(t.Context(), dst, src, root, opts)
				if err != nil {
					t.Fatal(err)
				}
				from.Forget()
				to.Forget()
				stats, err := content.Copy(t.Context(), dst, src, root, opts)
				if err != nil {
					t.Fatal(err)
				}
				made := int64(from.Count(registrytest.Match{}) + to.Count(registrytest.Match{}))
				if plan.Requests != made || plan.MoveBytes != stats.MovedBytes || plan.Referrers != stats.Referrers {
					t.Errorf("referrers %v, mount %v: planned %d requests, %d bytes, %d referrers, made %d and %+v",
						referrers, mount, plan.Requests, plan.MoveBytes, plan.Referrers, made, stats)
				}
			}
		}
	}
}
