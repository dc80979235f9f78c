package pages_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/pages"
)

const (
	signatureType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	sbomType      = "application/spdx+json"
)

func TestAnEmptyStoreSaysHowToFillIt(t *testing.T) {
	r := newRig(t, pages.Options{Writable: true})
	r.has(r.page("/"), "<h1>Repositories</h1>", "dist copy --plain-http", "docker push registry.example:5000/demo/", "insecure-registries")
	r = newRig(t, pages.Options{})
	page := r.page("/")
	r.has(page, "takes no pushes", "dist pull docker.io/library/alpine:latest")
	r.lacks(page, "docker push", "may see")
	everybody := func(*http.Request) (pages.Visitor, error) { return pages.Visitor{}, nil }
	r = newRig(t, pages.Options{Visit: everybody})
	r.has(r.page("/"), "There is nothing here yet, or nothing that you may see.")
}

func TestRepositoriesAreListedByHost(t *testing.T) {
	r := newRig(t, pages.Options{})
	app := r.image("app", "amd64")
	r.name(app, "demo/app:v1", "demo/app:v2")
	r.lacks(r.page("/"), "<h2>docker.io</h2>")
	r.name(app, "quay.io/a/b:1", "localhost:5000/c:1")
	// The names of a host are together, and the server's own come first.
	r.has(r.page("/"), "3 repositories", "<h2>docker.io</h2>", `href="/r/demo/app"`, ">2</td>",
		"<h2>localhost:5000</h2>", `href="/r/localhost_5000/c"`, "<h2>quay.io</h2>", `href="/r/quay.io/a/b"`)
	// What two tags share is counted once.
	size := regexp.MustCompile(`data-label="Size">(\d+ B)<`)
	page := r.page("/")
	sizes := size.FindAllStringSubmatch(page, -1)
	if len(sizes) != 3 || sizes[0][1] != sizes[1][1] {
		t.Errorf("sizes %q", sizes)
	}
	r.o.Prefix = "quay.io"
	r.reopen()
	r.has(r.page("/"), "<h2>quay.io</h2>", `href="/r/a/b"`, `href="/r/docker.io/demo/app"`)
}

func TestNamesOfBlobsAreNotShown(t *testing.T) {
	r := newRig(t, pages.Options{})
	r.name(r.blob("text/plain", []byte("no manifest")), "demo/blob:v1")
	r.has(r.page("/"), "There is nothing here yet")
	r.status("/r/demo/blob:v1", http.StatusNotFound)
}

// include lets repo have desc without a name.
func (r *rig) include(repo string, desc oci.Descriptor) {
	r.t.Helper()
	if err := r.lib.Include(r.t.Context(), repo, content.Pushed, desc.Digest); err != nil {
		r.t.Fatal(err)
	}
}

// exclude takes desc out of repo.
func (r *rig) exclude(repo string, desc oci.Descriptor) {
	r.t.Helper()
	if err := r.lib.Exclude(r.t.Context(), repo, desc.Digest); err != nil {
		r.t.Fatal(err)
	}
}

// status asks for a page that must answer so.
func (r *rig) status(path string, want int) string {
	r.t.Helper()
	rec := r.get(path)
	if rec.Code != want {
		r.t.Fatalf("%s: %d, want %d\n%s", path, rec.Code, want, rec.Body)
	}
	return rec.Body.String()
}

func TestARepositoryShowsItsTags(t *testing.T) {
	r := newRig(t, pages.Options{})
	index, images := r.index("multi", "amd64", "arm64", "no s390x")
	r.name(r.image("old", "amd64"), "demo/app:v1")
	r.name(index, "demo/app:v2")
	r.artifact(signatureType, "s", &index, nil)
	r.artifact(signatureType, "s2", &index, nil)
	r.artifact(sbomType, "b", &index, nil)
	page := r.page("/r/demo/app")
	// The newest is first, and it is what is pulled where there is no tag latest.
	r.has(page, "<h1>demo/app</h1>", "Pull v2", "docker pull registry.example:5000/demo/app:v2",
		`href="/r/demo/app:v2"`, "Index", "2 signatures, 1 SBOM", "linux/amd64", "linux/arm64",
		"away", "linux/s390x", "2 of 3 here", `href="/r/demo/app@`+index.Digest.String(),
		`href="/r/demo/app:v1"`, "Image", "linux/amd64")
	// What is signed last has the newest tag, and is not what people come for.
	r.name(images[0], "demo/app:sha256-"+images[0].Digest.Encoded()+".sig")
	r.has(r.page("/r/demo/app"), "Pull v2")
	r.name(images[0], "demo/app:latest")
	r.name(images[0], "demo/app:zz")
	r.has(r.page("/r/demo/app"), "Pull latest")
	r.has(r.page("/r/demo/app?q=v2"), `href="/r/demo/app:v2"`)
	r.lacks(r.page("/r/demo/app?q=v2"), `href="/r/demo/app:v1"`)
	// Something that is there by its digest alone has no tag.
	r.name(images[0], "demo/other@"+images[0].Digest.String())
	r.has(r.page("/r/demo/other"), `href="/r/demo/other@`+images[0].Digest.String())
}

func TestCommandsSayWhereTheServerIs(t *testing.T) {
	for _, tt := range []struct {
		o          pages.Options
		host, want string
	}{
		{pages.Options{}, "127.0.0.1:5000", "podman pull --tls-verify=false 127.0.0.1:5000/demo/app:v1"},
		{pages.Options{}, "[::1]:5000", "crane pull --insecure [::1]:5000/demo/app:v1 image.tar"},
		{pages.Options{}, "registry.example", "dist pull --plain-http registry.example:80/demo/app:v1"},
		{pages.Options{}, `x"$(rm)`, "docker pull localhost:80/demo/app:v1"},
		{pages.Options{URL: "https://registry.example"}, "else:1", "podman pull registry.example/demo/app:v1"},
		{pages.Options{URL: "https://shelf"}, "else:1", "dist pull shelf:443/demo/app:v1"},
		{pages.Options{URL: "http://shelf:8080"}, "else:1", "dist pull --plain-http shelf:8080/demo/app:v1"},
	} {
		r := newRig(t, tt.o)
		r.name(r.image("app", "amd64"), "demo/app:v1")
		req := httptest.NewRequest(http.MethodGet, "/r/demo/app", nil)
		req.Host = tt.host
		rec := httptest.NewRecorder()
		r.h.ServeHTTP(rec, req)
		r.has(rec.Body.String(), `tabindex="0">`+tt.want+"<")
	}
}

func TestAnImageShowsItsConfigurationAndLayers(t *testing.T) {
	r := newRig(t, pages.Options{})
	d := r.image("app", "arm64", func(m *oci.Manifest, c *oci.Image) {
		c.Created, c.Author = tick(1), "Somebody"
		c.Config = oci.ImageConfig{
			Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{"echo \"hi\""}, Env: []string{"A=b c"}, WorkingDir: "/data", User: "999",
			ExposedPorts: map[string]struct{}{"80/tcp": {}, "443/tcp": {}}, Labels: map[string]string{"org.opencontainers.image.source": "https://code.example/app"},
		}
		c.History = []oci.History{{CreatedBy: "COPY . /", Created: tick(1)}, {CreatedBy: "CMD", EmptyLayer: true}}
		m.Layers = append(m.Layers, oci.Descriptor{MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest: oci.DigestBytes([]byte("away")), Size: 5 << 30})
	})
	r.name(d, "demo/app:v1")
	page := r.page("/r/demo/app:v1")
	r.has(page, "<h1>demo/app:v1</h1>", "Image for linux/arm64", "docker pull registry.example:5000/demo/app:v1",
		d.Digest.String(), "<h2>Layers</h2>", "application/vnd.oci.image.layer.v1.tar", `href="/v2/demo/app/blobs/sha256:`, "need not hold it",
		"2026-03-01 12:01", "Somebody", "linux/arm64", "[&#34;/bin/sh&#34;,&#34;-c&#34;]", "/data", "999", "443/tcp, 80/tcp", "A=b c",
		`<a href="https://code.example/app" rel="nofollow noopener noreferrer">`, "COPY . /", "no layer",
		`href="/v2/demo/app/manifests/`+d.Digest.String(), "&#34;schemaVersion&#34;: 2")
	r.lacks(page, "GiB here", "over ")
	r.has(r.page("/r/demo/app@"+d.Digest.String()), "<h1>demo/app@sha256:", "docker pull registry.example:5000/demo/app@"+d.Digest.String())
}

func TestAnIndexShowsWhatIsHereOfIt(t *testing.T) {
	r := newRig(t, pages.Options{})
	index, images := r.index("multi", "amd64", "no arm64")
	r.name(index, "demo/app:v1")
	page := r.page("/r/demo/app:v1")
	r.has(page, "1 of 2 here", "linux/amd64", ">Here<", `href="/r/demo/app@`+images[0].Digest.String(), "linux/arm64", "Not here")
	r.lacks(page, `href="/r/demo/app@`+images[1].Digest.String())
}

func TestAManifestShowsWhatIsAboutIt(t *testing.T) {
	r := newRig(t, pages.Options{})
	d := r.image("app", "amd64")
	r.name(d, "demo/app:v1")
	sig := r.artifact(signatureType, "s", &d, map[string]string{oci.AnnotationCreated: "2026-03-02T10:00:00Z"})
	hidden := r.artifact(sbomType, "elsewhere", &d, nil)
	r.exclude("docker.io/demo/app", hidden)
	byTag := r.artifact("", "old", nil, nil)
	r.name(byTag, "demo/app:sha256-"+d.Digest.Encoded()+".sig", "demo/app:sha256-"+d.Digest.Encoded()+".sig.sig")
	page := r.page("/r/demo/app:v1")
	r.has(page, "not verified here", "Signature", signatureType, "2026-03-02T10:00:00Z", `href="/r/demo/app@`+sig.Digest.String(),
		"sha256-"+d.Digest.Encoded()+`.sig"`, "by its tag")
	r.lacks(page, hidden.Digest.String(), ".sig.sig")
	r.has(r.page("/r/demo/app@"+sig.Digest.String()), "A signature is present. It is not verified here.", "About", `href="/r/demo/app@`+d.Digest.String())
}

func TestArtifactsAndChartsShowTheirFiles(t *testing.T) {
	r := newRig(t, pages.Options{})
	r.name(r.artifact("application/vnd.example.report", "figures/a.json", nil, map[string]string{"k": "v"}), "demo/report:v1")
	r.has(r.page("/r/demo/report:v1"), "Artifact", "oras pull --plain-http registry.example:5000/demo/report:v1",
		"application/vnd.example.report", "<h2>Files</h2>", "figures/a.json", "<dt>k</dt>")
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: r.blob("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"web","version":"1.0+a","home":"javascript:alert(1)"}`))}
	m.SchemaVersion, m.Layers = 2, []oci.Descriptor{}
	r.name(r.document(oci.MediaTypeManifest, m), "demo/web:1.0_a")
	page := r.page("/r/demo/web:1.0_a")
	r.has(page, "Chart", "helm pull --plain-http oci://registry.example:5000/demo/web --version 1.0+a", "<dt>Name</dt><dd>web</dd>", "<dd>javascript:alert(1)</dd>")
}

// A manifest may have been pushed that refers to what its repository does not have.
func TestAConfigurationOfAnotherRepositoryIsNotShown(t *testing.T) {
	r := newRig(t, pages.Options{})
	secret := r.blob(oci.MediaTypeImageConfig, []byte(`{"os":"linux","config":{"Env":["TOKEN=secret"]}}`))
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: secret, Layers: []oci.Descriptor{}}
	m.SchemaVersion = 2
	d := r.document(oci.MediaTypeManifest, m)
	r.name(d, "own/app:v1")
	r.has(r.page("/r/own/app:v1"), "TOKEN=secret")
	if err := r.lib.Include(t.Context(), "docker.io/demo/app", content.Pushed, d.Digest); err != nil {
		t.Fatal(err)
	}
	r.name(d, "demo/app:v1")
	page := r.page("/r/demo/app:v1")
	r.has(page, "It is not here, or damaged.")
	r.lacks(page, "secret")
}

// checkPage refuses every page in which these would do something.
func TestNothingInAStoreIsTrusted(t *testing.T) {
	r := newRig(t, pages.Options{})
	evil := "<script>alert(1)</script>\u202e\u2066\u200b\x00\x1b\xff\"'><img src=x onerror=y>"
	links := map[string]string{
		"a" + evil: evil, "js": "javascript:alert(1)", "data": "data:text/html,x", "user": "https://a:b@evil.example/", "host": "https:///x",
		"case": "JavaScript:alert(1)", "fine": "https://fine.example/?a=b&c=d", "long": "https://long.example/" + strings.Repeat("a", 5000),
	}
	change := func(m *oci.Manifest, c *oci.Image) {
		m.Annotations = links
		c.Author = evil
		c.Config = oci.ImageConfig{Cmd: []string{evil}, Env: []string{evil}, User: evil, WorkingDir: evil, Labels: links, ExposedPorts: map[string]struct{}{evil: {}}}
		c.History = []oci.History{{CreatedBy: evil, Comment: evil}}
		m.Layers[0].Annotations = map[string]string{oci.AnnotationTitle: evil}
	}
	d := r.image("app", "amd64", change)
	r.name(d, "demo/app:v1")
	r.artifact(signatureType, evil, &d, map[string]string{oci.AnnotationCreated: evil})
	page := r.page("/r/demo/app:v1")
	r.has(page, "&lt;script&gt;", "⟨U+202E⟩", "⟨U+2066⟩", "⟨U+200B⟩")
	r.lacks(page, "<img src=x", `href="https://a:b`, `href="https:///`, `href="data:`, `href="https://long`)
	r.has(page, `href="https://fine.example/?a=b&amp;c=d"`)
	r.has(r.page("/?q="+"%3Cscript%3E%E2%80%AE%00"), "&lt;script&gt;")
	r.has(r.status("/r/%3Cscript%3Ealert(1)", http.StatusNotFound), "&lt;script&gt;")
	r.status("/r/demo/app:%3Cscript%3E", http.StatusNotFound)
	r.status("/r/demo/app@%3Cscript%3E", http.StatusNotFound)
}

func TestLargeThingsAreCut(t *testing.T) {
	r := newRig(t, pages.Options{})
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Annotations: map[string]string{}}
	m.SchemaVersion = 2
	for i := range 1000 {
		m.Layers = append(m.Layers, oci.Descriptor{MediaType: oci.MediaTypeLayer + "+nondistributable", Digest: r.blob("a/b", []byte{byte(i), byte(i >> 8)}).Digest, Size: math.MaxInt64})
		m.Annotations[fmt.Sprint("key", i)] = strings.Repeat("v", 2000)
	}
	m.Config = r.blob(oci.MediaTypeImageConfig, append(bytes.Repeat([]byte(" "), 4<<20), "{}"...))
	r.name(r.document(oci.MediaTypeManifest, m), "demo/large:v1")
	page := r.page("/r/demo/large:v1")
	r.has(page, "8.0 EiB", "And 800 more, not shown.", "Only the beginning is shown; the whole has 4.0 MiB", "And 800 more, not shown.", "Only the beginning is shown")
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// counting is a library that counts the bytes of what is read of it.
type counting struct {
	content.Library
	bytes atomic.Int64
}

func (c *counting) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	ra, err := c.Library.ReaderAt(ctx, desc)
	if err == nil {
		c.bytes.Add(ra.Size())
	}
	return ra, err
}

// Who may push must not be able to make the pages slow for everybody else.
func TestListsReadABoundedNumberOfBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("reads megabytes, which takes minutes with the race detector")
	}
	r := newRig(t, pages.Options{})
	const many, size = 16, 2 << 20
	for i := range many {
		d := r.artifact("application/x-large", "f", nil, map[string]string{"n": strings.Repeat(fmt.Sprint(i%10), size+i)})
		r.name(d, fmt.Sprintf("demo/large:v%d", i))
	}
	lib := &counting{Library: r.lib}
	h := pages.New(lib, pages.Options{})
	for path, most := range map[string]int64{"/": 10 << 20, "/r/demo/large": 20 << 20, "/?q=unheard": 20 << 20, "/r/demo/large?q=unheard": 20 << 20} {
		lib.bytes.Store(0)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if n := lib.bytes.Load(); w.Code != 200 || n > most {
			t.Errorf("GET %s: %d, and %d bytes of manifests are read, want %d at most", path, w.Code, n, most)
		}
	}
	r.has(r.page("/r/demo/large"), ":v0\"", "over 2.0 MiB")
	r.has(r.page("/?q=unheard"), "only of the newest")
}

// slow is a library that finds no name before it is told to.
type slow struct {
	content.Library
	asked atomic.Int64
	held  chan struct{}
}

func (s *slow) Resolve(ctx context.Context, ref oci.Reference) (oci.Descriptor, error) {
	s.asked.Add(1)
	<-s.held
	return s.Library.Resolve(ctx, ref)
}

func TestFewPagesAreMadeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, pages.Options{})
		r.name(r.image("app", "amd64"), "demo/app:v1")
		lib := &slow{Library: r.lib, held: make(chan struct{})}
		h := pages.New(lib, pages.Options{})
		var all sync.WaitGroup
		var served, busy atomic.Int64
		for range 20 {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/r/demo/app:v1", nil))
				switch {
				case w.Code == 200:
					served.Add(1)
				case w.Code == 503 && w.Header().Get("Retry-After") != "":
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		atOnce := lib.asked.Load()
		time.Sleep(time.Minute) // of the bubble's clock
		close(lib.held)
		all.Wait()
		if atOnce >= 20 || served.Load() != atOnce || busy.Load() != 20-atOnce {
			t.Errorf("%d pages at once, %d served, %d told to come again", atOnce, served.Load(), busy.Load())
		}
	})
}

func TestDamageIsSaid(t *testing.T) {
	r := newRig(t, pages.Options{})
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: r.blob(oci.MediaTypeImageConfig, []byte("no JSON")).Digest, Size: 7}}
	m.SchemaVersion, m.Layers = 2, []oci.Descriptor{}
	r.name(r.document(oci.MediaTypeManifest, m), "demo/odd:v1")
	r.has(r.page("/r/demo/odd:v1"), "no JSON")
	r.has(r.page("/r/demo/odd"), "Image")
}

func TestVisitorsSeeWhatTheyMayPull(t *testing.T) {
	visit := func(r *http.Request) (pages.Visitor, error) {
		user, password, _ := r.BasicAuth()
		if password != "" {
			return pages.Visitor{}, fmt.Errorf("log in: %w", content.ErrDenied)
		}
		return pages.Visitor{Name: user, May: func(repo oci.Reference) bool {
			return user == "kim" || !strings.HasPrefix(repo.Repository, "secret/")
		}}, nil
	}
	r := newRig(t, pages.Options{Visit: visit, Realm: "shelf"})
	d := r.image("app", "amd64")
	r.name(d, "demo/app:v1", "secret/app:v1")
	const kim = "Basic a2ltOg=="
	none := r.status("/r/secret/none", http.StatusNotFound)
	for _, path := range []string{"/r/secret/app", "/r/secret/app:v1", "/r/secret/app@" + d.Digest.String()} {
		// What he may not see looks like what is not there.
		if page := r.status(path, http.StatusNotFound); strings.ReplaceAll(page, "secret/app", "secret/none") != none {
			t.Errorf("%s:\n%s", path, page)
		}
		r.has(r.page(path, "Authorization", kim), "secret/app", "kim")
	}
	for _, path := range []string{"/", "/?q=app", "/?q=" + d.Digest.String(), "/?q=amd64"} {
		r.lacks(strings.ReplaceAll(r.page(path), "secret/none", ""), "secret/")
		r.has(r.page(path, "Authorization", kim), "secret/app")
	}
	rec := r.get("/sign-in")
	if rec.Code != http.StatusUnauthorized || rec.Header().Get("WWW-Authenticate") != `Basic realm="shelf", charset="UTF-8"` {
		t.Errorf("%d %q", rec.Code, rec.Header())
	}
	r.has(r.page("/sign-in", "Authorization", kim), "You are kim here")
	if rec := r.get("/", "Authorization", "Basic a2ltOng="); rec.Code != http.StatusUnauthorized || rec.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong password: %d %q", rec.Code, rec.Header())
	}
}

func TestADigestIsShownInRepositoriesThatHaveIt(t *testing.T) {
	r := newRig(t, pages.Options{})
	d := r.image("app", "amd64")
	r.name(d, "demo/app:v1")
	other := r.image("other", "amd64")
	r.status("/r/demo/app@"+other.Digest.String(), http.StatusNotFound)
	r.include("docker.io/demo/app", other)
	r.page("/r/demo/app@" + other.Digest.String())
	r.status("/r/demo/app@"+oci.DigestBytes(nil).String(), http.StatusNotFound)
	r.status("/r/demo/app@"+r.blob("a/b", []byte("blob")).Digest.String(), http.StatusNotFound)
	r.status("/r/demo/app:v1@"+d.Digest.String(), http.StatusNotFound)
	r.status("/r/demo/app:v2", http.StatusNotFound)
	r.status("/r/", http.StatusNotFound)
	r.status("/nowhere", http.StatusNotFound)
}

func TestAnAmbiguousPathIsSaidToBe(t *testing.T) {
	r := newRig(t, pages.Options{})
	r.name(r.image("app", "amd64"), "localhost:5000/a:1", "docker.io/localhost_5000/a:1")
	r.has(r.status("/r/localhost_5000/a", http.StatusConflict), "docker.io/localhost_5000/a", "localhost:5000/a")
}

// seen are the rows of repositories, or of tags, that links lead to on all pages
// from path on.
func (r *rig) seen(path string, row *regexp.Regexp) (rows []string, n int) {
	r.t.Helper()
	next := regexp.MustCompile(`<a href="([^"]*)" rel="next">`)
	base, _, _ := strings.Cut(path, "?")
	for {
		page := r.page(path)
		n++
		for _, m := range row.FindAllStringSubmatch(page, -1) {
			rows = append(rows, m[1])
		}
		m := next.FindStringSubmatch(page)
		if m == nil || n > 100 {
			return rows, n
		}
		path = base + strings.ReplaceAll(m[1], "&amp;", "&")
	}
}

func TestPagesShowEachRowOnce(t *testing.T) {
	r := newRig(t, pages.Options{})
	d := r.image("app", "amd64")
	var names []string
	for i := range 120 {
		names = append(names, fmt.Sprintf("demo/many:t%03d", i), fmt.Sprintf("demo/r%03d:v1", i))
	}
	r.name(d, names...)
	for i := range 60 {
		bare := r.image(fmt.Sprint("bare", i), "amd64")
		r.name(bare, "demo/bare@"+bare.Digest.String())
	}
	repo, tag := regexp.MustCompile(`<th scope="row"><a href="/r/([^":@]*)"`), regexp.MustCompile(`<th scope="row"><a href="/r/demo/many:([^"]*)"`)
	bare := regexp.MustCompile(`<th scope="row"><a href="/r/demo/bare@([^"]*)"`)
	for path, want := range map[string]int{"/": 122, "/?q=demo/r": 120, "/r/demo/bare": 60, "/r/demo/many": 120, "/r/demo/many?q=t0": 100} {
		row := repo
		if strings.HasPrefix(path, "/r/") {
			row = tag
		}
		if path == "/r/demo/bare" {
			row = bare
		}
		rows, n := r.seen(path, row)
		unique := map[string]bool{}
		for _, v := range rows {
			unique[v] = true
		}
		if len(rows) != want || len(unique) != want || n != (want+49)/50 {
			t.Errorf("%s: %d rows, %d different, on %d pages", path, len(rows), len(unique), n)
		}
	}
	for _, odd := range []string{"/?after=%FF", "/?after=zz/zz", "/r/demo/many?after=1", "/r/demo/many?after=999999999999999999999:x", "/r/demo/many?after=0@"} {
		r.page(odd)
	}
}

func TestSearch(t *testing.T) {
	r := newRig(t, pages.Options{})
	index, images := r.index("multi", "riscv64", "arm64")
	r.name(index, "demo/multi:v7")
	app := r.image("app", "amd64")
	r.name(app, "demo/app:v1", "demo/app:v2")
	r.name(r.artifact("application/vnd.example.report", "a", nil, nil), "quay.io/x/report:final")
	for q, want := range map[string]string{
		"MULTI":                        "demo/multi",
		"v7":                           "demo/multi:v7",
		"demo v7":                      "demo/multi:v7",
		"linux/riscv64":                "demo/multi:v7",
		"vnd.example.report":           "quay.io/x/report:final",
		"artifact":                     "quay.io/x/report:final",
		"quay.io":                      "quay.io/x/report",
		app.Digest.Encoded()[:8]:       "demo/app:v2",
		app.Digest.String()[:20]:       "demo/app:v1",
		images[0].Digest.Encoded()[:9]: "demo/multi:v7",
		"image.index":                  "demo/multi:v7",
	} {
		page := r.page("/?q=" + strings.ReplaceAll(q, " ", "+"))
		r.has(page, "1 repository with", `href="/r/`+want+`"`)
	}
	for _, q := range []string{"nothing", "multi v3", "sha256:ffff", "s390x"} {
		r.has(r.page("/?q="+strings.ReplaceAll(q, " ", "+")), "Nothing has")
	}
	// A digest without a name is found where it is.
	alone := r.image("alone", "amd64")
	r.has(r.page("/?q="+alone.Digest.String()), "Nothing has")
	r.include("docker.io/demo/app", alone)
	r.has(r.page("/?q="+alone.Digest.String()), "/r/demo/app@"+alone.Digest.String())
	r.page("/?q=" + strings.Repeat("a+", 5000) + "%FF")
}

func TestPagesAreCachedByTheirContent(t *testing.T) {
	r := newRig(t, pages.Options{})
	first := r.get("/")
	tag := first.Header().Get("ETag")
	if rec := r.get("/", "If-None-Match", tag); tag == "" || rec.Code != http.StatusNotModified || rec.Body.Len() > 0 {
		t.Errorf("%q: %d", tag, rec.Code)
	}
	r.name(r.image("app", "amd64"), "demo/app:v1")
	if rec := r.get("/", "If-None-Match", tag); rec.Code != http.StatusOK {
		t.Errorf("another page: %d", rec.Code)
	}
	for _, m := range regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(first.Body.String(), -1) {
		rec := r.get(m[1])
		if rec.Code != http.StatusOK || !strings.Contains(rec.Header().Get("Cache-Control"), "immutable") || rec.Body.Len() == 0 {
			t.Errorf("%s: %d %v", m[1], rec.Code, rec.Header())
		}
	}
	r.status("/assets/style.0000000000000000.css", http.StatusNotFound)
}

func TestPagesOnlyRead(t *testing.T) {
	r := newRig(t, pages.Options{})
	for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405, http.MethodPut: 405} {
		rec := httptest.NewRecorder()
		r.h.ServeHTTP(rec, httptest.NewRequest(method, "/", nil))
		if rec.Code != want || (want == 405 && rec.Header().Get("Allow") != "GET, HEAD") {
			t.Errorf("%s: %d %v", method, rec.Code, rec.Header())
		}
	}
}

// Text has to be read on its ground: WCAG 2.2 asks for 4.5 to 1.
func TestColoursHaveContrast(t *testing.T) {
	r := newRig(t, pages.Options{})
	css := r.get(regexp.MustCompile(`/assets/style[^"]+`).FindString(r.page("/"))).Body.String()
	palettes := regexp.MustCompile(`(?s):root \{([^}]*--ground[^}]*)\}`).FindAllStringSubmatch(css, -1)
	if len(palettes) != 2 {
		t.Fatalf("%d palettes", len(palettes))
	}
	for i, p := range palettes {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(p[1], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, pair := range [][2]string{
			{"text", "ground"},
			{"text", "raised"},
			{"faint", "ground"},
			{"faint", "raised"},
			{"link", "ground"},
			{"link", "raised"},
			{"good", "ground"},
			{"good", "raised"},
			{"bad", "ground"},
			{"bad", "raised"},
			{"bar-text", "bar"},
		} {
			a, okA := colours[pair[0]]
			b, okB := colours[pair[1]]
			if ratio := (max(a, b) + .05) / (min(a, b) + .05); !okA || !okB || ratio < 4.5 {
				t.Errorf("palette %d: %s on %s has %.2f", i, pair[0], pair[1], ratio)
			}
		}
	}
}

// luminance is WCAG's relative luminance of rrggbb.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(v uint64) float64 {
		c := float64(v&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

// FuzzPaths asks for whatever somebody may ask for.
func FuzzPaths(f *testing.F) {
	for _, path := range []string{"/", "/r/demo/app", "/r/demo/app:v1", "/r/demo/app@sha256:00", "/r/:@", "/r//", "/assets/x", "/sign-in"} {
		f.Add(path, "q=a&after=b")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		r := newRig(t, pages.Options{Realm: "x"})
		r.name(r.image("app", "amd64"), "demo/app:v1")
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.URL.Path, req.URL.RawQuery = path, query
		rec := httptest.NewRecorder()
		r.h.ServeHTTP(rec, req)
		if rec.Code >= http.StatusInternalServerError {
			t.Fatalf("%q?%q: %d", path, query, rec.Code)
		}
		if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
			checkPage(t, path, rec)
		}
	})
}

// What is remembered of a manifest is small, however long what it says is.
func TestWhatOthersWroteIsNotKeptInMemory(t *testing.T) {
	r := newRig(t, pages.Options{})
	const many, long = 6, 1 << 20
	for i := range many {
		x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{{
			MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes([]byte{byte(i)}), Size: 1,
			ArtifactType: strings.Repeat("t", long), Annotations: map[string]string{"long": strings.Repeat("a", long)},
		}}}
		x.SchemaVersion = 2
		r.name(r.document(oci.MediaTypeIndex, x), fmt.Sprintf("docker.io/library/app:%d", i))
	}
	before := heapInUse()
	r.page("/r/library/app")
	if kept := heapInUse() - before; kept > long {
		t.Errorf("of %d indexes %d bytes are kept", many, kept)
	}
	runtime.KeepAlive(r)
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
