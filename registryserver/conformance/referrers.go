package conformance

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"dist.example/oci"
)

func referrerChecks() []check {
	return []check{
		{"none", noReferrers},
		{"list", listsReferrers},
		{"type-of-config", typeOfConfig},
		{"index", indexAsReferrer},
		{"before-subject", beforeSubject},
		{"filter", filterReferrers},
		{"pages", pagesOfReferrers},
		{"fallback-tag", fallbackTag},
		{"invalid-digest", invalidSubject},
		{"sha512", sha512Subject},
		{"deleted", deletedReferrer},
	}
}

// about is an image with a subject, of some type, and with an annotation.
func (t *tester) about(subject oci.Descriptor, artifactType, note string) oci.Manifest {
	t.Helper()
	m := t.image(artifactType + note)
	m.Subject, m.ArtifactType, m.Annotations = &subject, artifactType, map[string]string{"com.example.note": note}
	return m
}

// referrers is a page of what is about d, with the answer and what comes next.
func (t *tester) referrers(where string) ([]oci.Descriptor, answer, string) {
	t.Helper()
	a := t.want(t.do("GET", where, nil), http.StatusOK)
	t.wantHeader(a, "Content-Type", oci.MediaTypeIndex)
	if len(a.body) > oci.MaxManifestSize {
		t.Errorf("%s: a page of %d bytes", a.at, len(a.body))
	}
	x, err := oci.ParseIndex(oci.MediaTypeIndex, a.body)
	if err != nil || x.SchemaVersion != 2 || x.MediaType != oci.MediaTypeIndex || x.Manifests == nil {
		t.Fatalf("%s: %.300s: %v", a.at, a.body, err)
	}
	return x.Manifests, a, t.next(a)
}

func (t *tester) of(d oci.Digest, query string) string {
	return t.path("/referrers/" + d.String() + query)
}

// listed asks for exactly these referrers, in any order.
func (t *tester) listed(where string, want ...oci.Descriptor) {
	t.Helper()
	got, _, _ := t.referrers(where)
	left := slices.Clone(want)
	for _, d := range got {
		i := slices.IndexFunc(left, func(w oci.Descriptor) bool {
			return w.Digest == d.Digest && w.MediaType == d.MediaType && w.Size == d.Size &&
				w.ArtifactType == d.ArtifactType && maps.Equal(w.Annotations, d.Annotations)
		})
		if i < 0 {
			t.Fatalf("%s lists %+v", where, d)
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		t.Errorf("%s lacks %+v", where, left)
	}
}

// attach pushes a manifest and describes it as a referrer.
func (t *tester) attach(m oci.Manifest, artifactType string) oci.Descriptor {
	t.Helper()
	desc := t.push(m, oci.MediaTypeManifest)
	desc.ArtifactType, desc.Annotations = artifactType, m.Annotations
	return desc
}

func noReferrers(t *tester) {
	t.listed(t.of(t.absent("").Digest, ""))
	subject := t.push(t.image("subject"), oci.MediaTypeManifest)
	t.listed(t.of(subject.Digest, ""))
	t.want(t.do("HEAD", t.of(subject.Digest, ""), nil), http.StatusOK)
}

func listsReferrers(t *tester) {
	subject := t.push(t.image("subject"), oci.MediaTypeManifest)
	one := t.attach(t.about(subject, "text/one", "1"), "text/one")
	two := t.attach(t.about(subject, "text/two", "2"), "text/two")
	t.listed(t.of(subject.Digest, ""), one, two)
	t.listed(t.of(one.Digest, ""))
}

func typeOfConfig(t *tester) {
	m := t.about(t.push(t.image("subject"), oci.MediaTypeManifest), "", "")
	m.Config.MediaType = "application/vnd.example.config"
	t.listed(t.of(m.Subject.Digest, ""), t.attach(m, "application/vnd.example.config"))
}

func indexAsReferrer(t *tester) {
	subject := t.push(indexOf(), oci.MediaTypeIndex)
	x := indexOf()
	x.Subject, x.Annotations = &subject, map[string]string{"of": t.Name()}
	plain := t.push(x, oci.MediaTypeIndex)
	plain.Annotations = x.Annotations
	x.ArtifactType = "text/list"
	typed := t.push(x, oci.MediaTypeIndex)
	typed.ArtifactType, typed.Annotations = x.ArtifactType, x.Annotations
	t.listed(t.of(subject.Digest, "?artifactType=text/list"), typed)
	a := t.do("GET", t.of(subject.Digest, ""), nil)
	if n := strings.Count(string(a.body), "artifactType"); n != 1 {
		t.Errorf("%d types of artifacts in %s", n, a.body)
	}
}

func beforeSubject(t *tester) {
	m := t.image("subject")
	data := t.json(m)
	subject := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes(data), Size: int64(len(data))}
	about := t.attach(t.about(subject, "text/one", "1"), "text/one")
	t.listed(t.of(subject.Digest, ""), about)
	t.push(m, oci.MediaTypeManifest)
	t.listed(t.of(subject.Digest, ""), about)
}

func filterReferrers(t *tester) {
	subject := t.push(t.image("subject"), oci.MediaTypeManifest)
	one := t.attach(t.about(subject, "text/one+x", "1"), "text/one+x")
	t.attach(t.about(subject, "text/two", "2"), "text/two")
	where := t.with(t.registry.URL+t.of(subject.Digest, ""), "artifactType", "text/one+x")
	t.listed(where, one)
	_, a, _ := t.referrers(where)
	t.wantHeader(a, "OCI-Filters-Applied", "artifactType")
	_, a, _ = t.referrers(t.of(subject.Digest, ""))
	t.wantHeader(a, "OCI-Filters-Applied", "")
	t.listed(t.of(subject.Digest, "?artifactType=text/three"))
}

// Four referrers whose annotations have more than 4 MiB together do not fit in one
// answer, and every page is filtered as the first.
func pagesOfReferrers(t *tester) {
	subject := t.push(t.image("subject"), oci.MediaTypeManifest)
	var want []string
	for _, text := range []string{"a", "b", "c", "d"} {
		m := t.about(subject, "text/large", strings.Repeat(text, 1_500_000))
		want = append(want, t.push(m, oci.MediaTypeManifest).Digest.String())
	}
	t.attach(t.about(subject, "text/small", ""), "")
	var got []string
	pages := 0
	for where := t.of(subject.Digest, "?artifactType=text/large"); where != ""; pages++ {
		list, a, next := t.referrers(where)
		t.wantHeader(a, "OCI-Filters-Applied", "artifactType")
		for _, d := range list {
			got = append(got, d.Digest.String())
		}
		where = next
	}
	slices.Sort(want)
	if !slices.Equal(got, want) || pages != 2 {
		t.Errorf("%d pages list %q, want %q", pages, got, want)
	}
}

// What an index at the fallback tag lists was pushed to a registry without the API.
func fallbackTag(t *tester) {
	subject := t.push(t.image("subject"), oci.MediaTypeManifest)
	about := t.attach(t.about(subject, "text/one", "1"), "text/one")
	t.push(indexOf(about), oci.MediaTypeIndex, strings.Replace(subject.Digest.String(), ":", "-", 1))
	t.listed(t.of(subject.Digest, ""), about)
}

func invalidSubject(t *tester) {
	for _, digest := range []string{"v1", "sha256:abc", "md5:" + strings.Repeat("a", 32)} {
		t.want(t.do("GET", t.path("/referrers/"+digest), nil), http.StatusBadRequest, "DIGEST_INVALID")
	}
}

func sha512Subject(t *tester) {
	data := t.json(t.image("subject"))
	subject := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.SHA512.FromBytes(data), Size: int64(len(data))}
	t.want(t.put(subject.Digest.String(), oci.MediaTypeManifest, data), http.StatusCreated)
	about := t.attach(t.about(subject, "text/one", "1"), "text/one")
	t.listed(t.of(subject.Digest, ""), about)
}

func deletedReferrer(t *tester) {
	subject := t.push(t.image("subject"), oci.MediaTypeManifest, "v1")
	one := t.attach(t.about(subject, "text/one", "1"), "text/one")
	two := t.attach(t.about(subject, "text/two", "2"), "text/two")
	t.want(t.do("DELETE", t.path("/manifests/"+one.Digest.String()), nil), http.StatusAccepted)
	t.want(t.do("HEAD", t.path("/manifests/"+one.Digest.String()), nil), http.StatusNotFound)
	t.listed(t.of(subject.Digest, ""), two)
}
