package registryclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// conf writes a registries.conf and lets a client read it.
func conf(t *testing.T, text string) func(*Options) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "registries.conf")
	writeFile(t, file, text)
	return func(o *Options) { o.RegistriesConf = []string{file} }
}

func confRepository(t *testing.T, name, text string, more ...func(*Options)) *Repository {
	t.Helper()
	ref, err := oci.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	return testClient(t, func(o *Options) {
		conf(t, text)(o)
		for _, f := range more {
			f(o)
		}
	}).Repository(ref)
}

func TestLocationLeadsElsewhere(t *testing.T) {
	f, mirror := newFake(t), newFake(t)
	a := f.addBlob(1000)
	f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	text := fmt.Sprintf(`
[[registry]]
prefix = "r.test/x/y"
location = "%s/team"
[[registry.mirror]]
location = "%s/cache/team"
`, f.url.Host, mirror.url.Host)
	r := confRepository(t, "r.test/x/y/app", text)
	mustFetch(t, f, r, a)
	if mirror.requests("GET /v2/cache/team/app/blobs/") != 1 || f.requests("GET /v2/team/app/blobs/") != 1 {
		t.Fatalf("asked for %q, then for %q", mirror.log, f.log)
	}
	asked := mirror.requests("")
	up, data := somewhere(f, 3000)
	if err := r.ForPush().Push(context.Background(), up, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if mirror.requests("") != asked || f.blobs[up.Digest.String()] == nil {
		t.Fatal("the push went elsewhere")
	}
	if strings.Contains(strings.Join(f.log, " "), "ns=") {
		t.Error("a location was told about the registry")
	}
}

func TestTokensAreAskedForByTheNameThere(t *testing.T) {
	f, g := gated(t)
	a := f.addBlob(1000)
	r := confRepository(t, "r.test/x/app", fmt.Sprintf("[[registry]]\nprefix=\"r.test/x\"\nlocation=%q\n", f.url.Host+"/team"), authFileFor(t, f.url.Host+"/team", "ann", "pw"))
	mustFetch(t, f, r, a)
	if q := g.asked[0].Form; q.Get("scope") != "repository:team/app:pull" || q.Get("account") != "ann" {
		t.Errorf("asked for %v", q)
	}
}

func TestMirrorsOfRegistriesConf(t *testing.T) {
	for name, tc := range map[string]struct {
		entry, mirror     string
		forTag, forDigest bool
		afterTag          bool // by digest, once a tag was asked for
	}{
		"all":        {"", "pull-from-mirror=\"all\"", true, true, true},
		"nothing":    {"", "", true, true, true},
		"digests":    {"", "pull-from-mirror=\"digest-only\"", false, true, true},
		"tags":       {"", "pull-from-mirror=\"tag-only\"", true, false, true},
		"of a whole": {"mirror-by-digest-only=true", "", false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			up, mirror := newFake(t), newFake(t)
			for _, f := range []*fake{up, mirror} {
				f.addBlob(1000)
				f.addManifest("v1", oci.MediaTypeManifest, aManifest)
			}
			text := fmt.Sprintf("[[registry]]\nprefix=\"r.test\"\nlocation=%q\n%s\n[[registry.mirror]]\nlocation=%q\n%s\n", up.url.Host, tc.entry, mirror.url.Host, tc.mirror)
			r := confRepository(t, "r.test/team/app", text)
			fetch := func() bool {
				before := mirror.requests("")
				mustFetch(t, up, r, up.addBlob(1000))
				return mirror.requests("") > before
			}
			if got := fetch(); got != tc.forDigest {
				t.Errorf("asked by digest: %v", got)
			}
			before := mirror.requests("")
			if _, err := r.Resolve(context.Background(), oci.Reference{Tag: "v1"}); err != nil {
				t.Fatal(err)
			}
			if got := mirror.requests("") > before; got != tc.forTag {
				t.Errorf("asked by tag: %v", got)
			}
			if got := fetch(); got != tc.afterTag {
				t.Errorf("asked by digest after that: %v", got)
			}
		})
	}
}

func TestBlocked(t *testing.T) {
	text := "[[registry]]\nprefix=\"r.test/bad\"\nlocation=\"127.0.0.1:1\"\nblocked=true\n[[registry]]\nprefix=\"*.evil.test\"\nblocked=true\n"
	c := testClient(t, conf(t, text))
	for _, name := range []string{"r.test/bad/app", "a.evil.test/app", "a.b.evil.test:5000/app"} {
		ref, _ := oci.ParseRepository(name)
		_, err := c.Repository(ref).Resolve(context.Background(), oci.Reference{Tag: "v1"})
		wantClass(t, err, content.ErrDenied)
		if !strings.Contains(err.Error(), "registries.conf") || c.Stats().Requests != 0 {
			t.Errorf("%s: %v after %d requests", name, err, c.Stats().Requests)
		}
		_, err = c.Repository(ref).ForPush().Exists(context.Background(), oci.Descriptor{Digest: oci.DigestBytes(nil)})
		wantClass(t, err, content.ErrDenied)
	}
	for _, name := range []string{"r.test/badly", "evil.test/app", "other.test/bad"} {
		ref, _ := oci.ParseRepository(name)
		if _, err := c.route(ref); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLongestPrefixDecides(t *testing.T) {
	c := testClient(t, conf(t, `
[[registry]]
prefix = "*.example.com"
[[registry.mirror]]
location = "wild.test"
[[registry]]
location = "a.example.com"
[[registry]]
prefix = "a.example.com/team"
location = "b.test/team"
[[registry]]
prefix = "a.example.com/team/app"
location = "c.test"
[[registry]]
prefix = "docker.io/library"
location = "hub.test/lib"
[[registry]]
prefix = "tagged.test/app:v1"
location = "d.test/app"
`))
	for name, want := range map[string]string{
		"x.example.com/a":             "https://wild.test/v2 a, https://x.example.com/v2 a",
		"a.example.com/other":         "https://a.example.com/v2 other",
		"a.example.com/team/x/y":      "https://b.test/v2 team/x/y",
		"a.example.com/teams":         "https://a.example.com/v2 teams",
		"a.example.com/team/app/more": "https://c.test/v2 more",
		"redis":                       "https://hub.test/v2 lib/redis",
		"docker.io/other/redis":       "https://registry-1.docker.io/v2 other/redis",
	} {
		ref, err := oci.ParseRepository(name)
		if err != nil {
			t.Fatal(err)
		}
		es, err := c.endpoints(ref, canPull)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, e := range es {
			got = append(got, e.base.String()+" "+e.rename.of(ref.Repository))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, class := range map[string]error{"a.example.com/team/app": content.ErrInvalid, "tagged.test/app": content.ErrUnsupported} {
		ref, _ := oci.ParseRepository(name)
		_, err := c.route(ref)
		wantClass(t, err, class)
	}
}

func TestHostsFileComesBeforeRegistriesConf(t *testing.T) {
	f, other := newFake(t), newFake(t)
	a := f.addBlob(1000)
	dir := hostsDir(t, map[string]string{"r.test": fmt.Sprintf("server = %q\n", f.url)})
	r := confRepository(t, "r.test/team/app", fmt.Sprintf("[[registry]]\nprefix=\"r.test\"\nlocation=%q\nblocked=true\n", other.url.Host),
		func(o *Options) { o.HostsDirs = []string{dir} })
	mustFetch(t, f, r, a)
	if other.requests("") != 0 {
		t.Fatal("both were read")
	}
}

func TestBlobsAreMountedOnlyWithinOnePlace(t *testing.T) {
	f := newFake(t)
	r := confRepository(t, "r.test/x/app", fmt.Sprintf("[[registry]]\nprefix=\"r.test/x\"\nlocation=%q\n", f.url.Host+"/team")).ForPush()
	var from []string
	f.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		from = append(from, r.URL.Query().Get("from"))
		return false
	}
	for _, name := range []string{"x/lib", "elsewhere"} {
		if _, err := r.Mount(context.Background(), f.addBlob(10), oci.Reference{Registry: "r.test", Repository: name}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(from, []string{"team/lib"}) {
		t.Errorf("mounted from %q", from)
	}
}

func TestInsecureFallsBackToPlainHTTP(t *testing.T) {
	f := newFake(t)
	a, b := f.addBlob(1000), f.addBlob(2000)
	var warned []string
	r := confRepository(t, "r.test/team/app", fmt.Sprintf("[[registry]]\nprefix=\"r.test\"\nlocation=%q\ninsecure=true\n", f.url.Host),
		func(o *Options) { o.Warn = func(m string) { warned = append(warned, m) } })
	mustFetch(t, f, r, a)
	mustFetch(t, f, r, b)
	up, data := somewhere(f, 3000)
	if err := r.ForPush().Push(context.Background(), up, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if f.requests("GET /v2/team/app/") != 2 || f.requests("GET /v2/")-2 != 1 || len(warned) != 1 || !strings.Contains(warned[0], "without TLS") {
		t.Errorf("asked %q, warned %q", f.log, warned)
	}
}

// What a host speaks is not known before it answers.
func TestInsecureHostThatComesBack(t *testing.T) {
	f := newFake(t)
	a := f.addBlob(1000)
	r := confRepository(t, "r.test/team/app", fmt.Sprintf("[[registry]]\nprefix=\"r.test\"\nlocation=%q\ninsecure=true\n", f.url.Host), func(o *Options) { o.Retries = -1 })
	f.hook = func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) }
	_, err := fetchAll(r, a)
	wantClass(t, err, content.ErrUnavailable)
	f.misbehave(nil)
	mustFetch(t, f, r, a)
}

func TestInsecureTakesAnyCertificate(t *testing.T) {
	f := tlsFake(t, nil)
	a := f.addBlob(1000)
	text := "[[registry]]\nprefix=\"r.test\"\nlocation=\"" + f.url.Host + "\"\n"
	var warned []string
	r := confRepository(t, "r.test/team/app", text+"insecure=true\n", func(o *Options) { o.Warn = func(m string) { warned = append(warned, m) } })
	mustFetch(t, f, r, a)
	if len(warned) != 1 || warned[0] != "the certificate of "+f.url.Host+" is not checked" {
		t.Errorf("warned %q", warned)
	}
	certs := t.TempDir()
	writeFile(t, filepath.Join(certs, f.url.Host, "none"), "") // a folder for it: TLS is spoken
	_, err := fetchAll(confRepository(t, "r.test/team/app", text, func(o *Options) { o.CertDirs = []string{certs} }), a)
	wantClass(t, err, content.ErrUnavailable)
}

func TestNoCredentialsInTheClearForInsecure(t *testing.T) {
	c := testClient(t, func(o *Options) {
		conf(t, "[[registry]]\nlocation=\"r.test\"\ninsecure=true\n")(o)
		authFileFor(t, "r.test", "ann", "secret")(o)
	})
	ref := oci.Reference{Registry: "r.test", Repository: "a"}
	es, err := c.endpoints(ref, canPull)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := c.Repository(ref).credential(context.Background(), es[0])
	if err != nil || cred.username != "ann" {
		t.Fatalf("over TLS: %q, %v", cred.username, err)
	}
	es[0].bare.plain.Store(true)
	_, err = c.Repository(ref).credential(context.Background(), es[0])
	wantClass(t, err, content.ErrDenied)
	if strings.Contains(err.Error(), "secret") || !strings.Contains(content.Hint(err), "http://r.test") {
		t.Errorf("%v, hint %q", err, content.Hint(err))
	}
}

// A login is for a host; where another one stands in, that is the host to name.
func TestLoginGoesByTheHostThatIsDialled(t *testing.T) {
	c := testClient(t, conf(t, "[[registry]]\nprefix=\"r.test\"\nlocation=\"up.test/all\"\n[[registry.mirror]]\nlocation=\"m.test\"\n"))
	_, err := c.ownEndpoint("r.test")
	wantClass(t, err, content.ErrInvalid)
	if !strings.Contains(content.Hint(err), "up.test") {
		t.Errorf("hint %q", content.Hint(err))
	}
	for _, name := range []string{"up.test", "docker.io"} {
		if e, err := c.ownEndpoint(name); err != nil || e.mirror {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhichRegistriesFilesAreRead(t *testing.T) {
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("CONTAINERS_REGISTRIES_CONF", "")
	user := filepath.Join(config, "containers", "registries.conf")
	writeFile(t, user+".d/20-b.conf", "[[registry]]\nlocation=\"r.test\"\n[[registry.mirror]]\nlocation=\"twenty.test\"\n")
	writeFile(t, user+".d/10-a.conf", "[[registry]]\nlocation=\"r.test\"\n[[registry.mirror]]\nlocation=\"ten.test\"\n")
	writeFile(t, user+".d/30-c.conf.off", "= =")
	files, needed := environmentRegistries()
	if needed || files[0] != filepath.FromSlash("/etc/containers/registries.conf") || !strings.HasSuffix(files[len(files)-1], "20-b.conf") {
		t.Errorf("without a file of the user's: %q", files)
	}
	writeFile(t, user, "[[registry]]\nlocation=\"r.test\"\nblocked=true\n[[registry]]\nlocation=\"s.test\"\nblocked=true\n")
	files, _ = environmentRegistries()
	if len(files) != 3 || files[0] != user || !strings.HasSuffix(files[1], "10-a.conf") {
		t.Errorf("with one: %q", files)
	}
	c := testClient(t, func(o *Options) { o.RegistriesConf = nil })
	es, err := c.endpoints(oci.Reference{Registry: "r.test", Repository: "a"}, canPull)
	if err != nil || es[0].host() != "twenty.test" || len(es) != 2 {
		t.Errorf("the last one does not win: %v, %v", es, err)
	}
	_, err = c.route(oci.Reference{Registry: "s.test", Repository: "a"})
	wantClass(t, err, content.ErrDenied)

	explicit := filepath.Join(t.TempDir(), "mine.conf")
	t.Setenv("CONTAINERS_REGISTRIES_CONF", explicit)
	ref := oci.Reference{Registry: "r.test", Repository: "a"}
	if _, err := testClient(t, func(o *Options) { o.RegistriesConf = nil }).route(ref); err == nil {
		t.Error("the file that was named is not there, and nobody minds")
	}
	writeFile(t, explicit, "")
	es, err = testClient(t, func(o *Options) { o.RegistriesConf = nil }).endpoints(ref, canPull)
	if err != nil || len(es) != 1 {
		t.Errorf("%v, %v", es, err)
	}
}

func TestVersion1IsNotUsed(t *testing.T) {
	var warned []string
	c := testClient(t, func(o *Options) {
		conf(t, "[registries.search]\nregistries=[\"a.test\"]\n[registries.block]\nregistries=[\"r.test\"]\n")(o)
		o.Warn = func(m string) { warned = append(warned, m) }
	})
	for _, name := range []string{"a", "b"} {
		if _, err := c.route(oci.Reference{Registry: "r.test", Repository: name}); err != nil {
			t.Fatal(err)
		}
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "registries.conf") || !strings.Contains(warned[0], "version 1") {
		t.Errorf("warned %q", warned)
	}
}

func TestShortNamesAreNeverSearchedFor(t *testing.T) {
	ref, _ := oci.ParseRepository("redis")
	es, err := testClient(t, conf(t, "unqualified-search-registries=[\"evil.test\"]\nshort-name-mode=\"disabled\"\n[aliases]\nredis=\"evil.test/redis\"\n")).endpoints(ref, canPull)
	if err != nil || len(es) != 1 || es[0].host() != "registry-1.docker.io" {
		t.Errorf("%v, %v", es, err)
	}
}

func TestRegistriesFilesThatAreRefused(t *testing.T) {
	for _, bad := range []string{
		"= =", "registry = 5", "[[registry]]\n", "[[registry]]\nprefix=\"r.test\"\n", "[[registry]]\nlocation=\"https://r.test\"\n",
		"[[registry]]\nlocation=\"*.r.test\"\n", "[[registry]]\nprefix=\"*.r.test/a\"\n", "[[registry]]\nprefix=\"a.*.test\"\n",
		"[[registry]]\nlocation=\"r.test/a:v1\"\n", "[[registry]]\nlocation=\"u:p@r.test\"\n", "[[registry]]\nlocation=\"r.test/a/../b\"\n",
		"[[registry]]\nlocation=\"r.test\"\n[[registry.mirror]]\n", "[[registry]]\nlocation=\"r.test\"\n[[registry.mirror]]\nlocation=\"m.test\"\npull-from-mirror=\"never\"\n",
		"[[registry]]\nlocation=\"r.test\"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation=\"m.test\"\npull-from-mirror=\"all\"\n",
		"[[registry]]\nlocation=\"r.test\"\nblocked=true\n[[registry]]\nlocation=\"r.test\"\n",
		"[registries.search]\nregistries=[\"a.test\"]\n[[registry]]\nlocation=\"r.test\"\n",
	} {
		entries, err := parseRegistries([]byte(bad))
		if !errors.Is(err, content.ErrInvalid) || entries != nil {
			t.Errorf("%q: %v, %v", bad, entries, err)
		}
	}
	_, err := testClient(t, conf(t, "= =")).route(oci.Reference{Registry: "r.test", Repository: "a"})
	wantClass(t, err, content.ErrInvalid)
	if !strings.Contains(err.Error(), "registries.conf") {
		t.Errorf("the file is not named: %v", err)
	}
}

func FuzzParseRegistries(f *testing.F) {
	for _, s := range []string{
		"", "unqualified-search-registries = [\"docker.io\"]\n", "[aliases]\n\"alpine\" = \"docker.io/library/alpine\"\n",
		"[[registry]]\nprefix = \"example.com/foo\"\ninsecure = false\nblocked = false\nlocation = \"internal.test/bar\"\n[[registry.mirror]]\nlocation = \"m0.test/foo\"\n[[registry.mirror]]\nlocation = \"m1.test/mirrors/foo\"\ninsecure = true\npull-from-mirror = \"tag-only\"\n",
		"[[registry]]\nprefix = \"*.example.com\"\nblocked = true\n", "[[registry]]\nlocation = \"localhost:5000\"\ninsecure = true\nmirror-by-digest-only = true\n",
		"[registries.search]\nregistries = ['a', 'b']\n[registries.insecure]\nregistries = []\n", "[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"mirror.gcr.io/library/\"\n",
		"[[registry]]\nlocation = \"[::1]:5000/a\"\n", "[[registry]]\nprefix = \"r.test/a@sha256:00\"\nlocation = \"r.test\"\n", "[[registry]]\nlocation = \"r.test//a\"\n",
	} {
		f.Add(s, "r.test/team/app")
		f.Add(s, "example.com/foo/image")
	}
	c, err := New(Options{HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		entries, err := parseRegistries([]byte(s))
		if err != nil {
			if (!errors.Is(err, content.ErrInvalid) && !errors.Is(err, errVersion1)) || entries != nil {
				t.Fatalf("%q: %v, %v", s, entries, err)
			}
			return
		}
		conf := &registriesConf{}
		conf.merge(entries, "file")
		if len(conf.entries) != len(entries) {
			t.Fatalf("%q: %d entries, %d prefixes", s, len(entries), len(conf.entries))
		}
		ref, err := oci.ParseRepository(name)
		if err != nil {
			return
		}
		entry := conf.find(ref)
		if entry == nil {
			return
		}
		for _, e := range entries {
			if e.covers(ref) && len(e.Prefix) > len(entry.Prefix) {
				t.Errorf("%q: %q is longer than %q", s, e.Prefix, entry.Prefix)
			}
		}
		own := hostSpec{url: &url.URL{Scheme: "https", Host: ref.Registry}, caps: canPull | canResolve | canPush}
		rt, err := c.planEntry(entry, ref, own)
		if err != nil {
			return
		}
		checkRoute(t, s, ref, rt)
	})
}

// checkRoute says what is always so for a repository that registries.conf leads
// somewhere.
func checkRoute(t *testing.T, s string, ref oci.Reference, rt *route) {
	t.Helper()
	for i, sp := range rt.specs {
		checkSpec(t, s, sp)
		if i < len(rt.specs)-1 && sp.caps&canPush != 0 {
			t.Errorf("%q: a mirror takes pushes", s)
		}
		name := sp.rename.of(ref.Repository)
		if name == "" || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") || strings.Contains(name, "..") {
			t.Errorf("%q: %s is %q at %s", s, ref.Name(), name, sp.url)
		}
	}
	if last := rt.specs[len(rt.specs)-1]; last.caps != canPull|canResolve|canPush {
		t.Errorf("%q: the registry itself cannot do everything", s)
	}
}
