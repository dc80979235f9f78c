package registryclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// hostsDir writes a hosts.toml for each registry.
func hostsDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for host, text := range files {
		if err := os.MkdirAll(filepath.Join(dir, host), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, host, "hosts.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func repositoryAt(t *testing.T, registry string, change func(*Options)) *Repository {
	t.Helper()
	return testClient(t, change).Repository(oci.Reference{Registry: registry, Repository: "team/app"})
}

func TestDockerHubIsDialledByItsRealName(t *testing.T) {
	c := testClient(t, nil)
	for registry, want := range map[string]string{
		"docker.io":      "https://registry-1.docker.io/v2",
		"quay.io":        "https://quay.io/v2",
		"localhost:5000": "http://localhost:5000/v2",
		"localhost":      "http://localhost/v2",
		"127.1.2.3:80":   "http://127.1.2.3:80/v2",
		"[::1]:5000":     "http://[::1]:5000/v2",
		"localhost:443":  "https://localhost:443/v2",
		"127.evil.test":  "https://127.evil.test/v2",
	} {
		es, err := c.endpoints(oci.Reference{Registry: registry, Repository: "a"}, canPush)
		if err != nil || len(es) != 1 || es[0].base.String() != want || es[0].ns != "" {
			t.Errorf("%s: %v, %v, want %s", registry, es[0].base, err, want)
		}
	}
}

func TestServerAnswersForAnotherName(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(1000)
	dir := hostsDir(t, map[string]string{"docker.io": `server = "` + f.url.String() + `"`})
	var ns string
	f.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool { ns = r.URL.Query().Get("ns"); return false }
	r := repositoryAt(t, oci.DockerHub, func(o *Options) { o.HostsDirs = []string{dir} })
	mustFetch(t, f, r, desc)
	if ns != "docker.io" {
		t.Errorf("ns=%q", ns)
	}
	data := []byte("to push")
	desc = oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes(data), Size: int64(len(data))}
	if err := r.Push(context.Background(), desc, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func TestMirrors(t *testing.T) {
	up, mirror := newFake(t), newFake(t)
	both, upOnly := mirror.addBlob(1000), up.addBlob(2000)
	up.blobs[both.Digest.String()] = mirror.blobs[both.Digest.String()]
	up.addManifest("v1", oci.MediaTypeManifest, aManifest)
	dir := hostsDir(t, map[string]string{"r.test": fmt.Sprintf("server = %q\n[host.%q]\n  capabilities = [\"pull\"]\n", up.url, mirror.url)})
	r := repositoryAt(t, "r.test", func(o *Options) { o.HostsDirs = []string{dir} })
	mustFetch(t, up, r, both)
	if up.requests("") != 0 || mirror.requests("") != 1 {
		t.Fatal("the mirror was not asked first")
	}
	mustFetch(t, up, r, upOnly)
	mirrored := mirror.requests("")
	if _, err := r.Resolve(context.Background(), oci.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	desc, data := somewhere(up, 3000)
	if err := r.Push(context.Background(), desc, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if mirror.requests("") != mirrored {
		t.Fatal("a mirror without the capability was asked for a tag, or pushed to")
	}
}

func TestForPushAsksWherePushesGo(t *testing.T) {
	up, mirror := newFake(t), newFake(t)
	up.addManifest("v1", oci.MediaTypeManifest, aManifest)
	dir := hostsDir(t, map[string]string{"r.test": fmt.Sprintf("server = %q\n[host.%q]\n", up.url, mirror.url)})
	r := repositoryAt(t, "r.test", func(o *Options) { o.HostsDirs = []string{dir} }).ForPush()
	if _, err := r.Resolve(context.Background(), oci.Reference{Tag: "v1"}); err != nil || mirror.requests("") != 0 {
		t.Fatalf("%v, the mirror was asked %d times", err, mirror.requests(""))
	}
}

func TestDeadAndLyingMirrorsArePassedOver(t *testing.T) {
	for name, hook := range map[string]func(w http.ResponseWriter, r *http.Request, n int) bool{
		"dead":   func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) },
		"500":    func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(500); return true },
		"denied": func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(403); return true },
	} {
		t.Run(name, func(t *testing.T) {
			up, mirror := newFake(t), newFake(t)
			mirror.hook = hook
			a, b := up.addBlob(1000), up.addBlob(2000)
			dir := hostsDir(t, map[string]string{"r.test": fmt.Sprintf("server = %q\n[host.%q]\n", up.url, mirror.url)})
			var warned []string
			r := repositoryAt(t, "r.test", func(o *Options) {
				o.HostsDirs = []string{dir}
				o.Warn = func(m string) { warned = append(warned, m) }
			})
			mustFetch(t, up, r, a)
			asked := mirror.requests("")
			mustFetch(t, up, r, b)
			if mirror.requests("") != asked || asked != 1 || len(warned) != 1 {
				t.Fatalf("asked %d times, then %d; warned %q", asked, mirror.requests(""), warned)
			}
		})
	}
	t.Run("lying", func(t *testing.T) {
		up, mirror := newFake(t), newFake(t)
		a := up.addBlob(1000)
		mirror.blobs[a.Digest.String()] = make([]byte, 1000)
		dir := hostsDir(t, map[string]string{"r.test": fmt.Sprintf("server = %q\n[host.%q]\n", up.url, mirror.url)})
		r := repositoryAt(t, "r.test", func(o *Options) { o.HostsDirs = []string{dir} })
		_, err := fetchAll(r, a)
		wantClass(t, err, content.ErrCorrupt)
		mustFetch(t, up, r, a)
	})
}

func TestMirrorGetsNoCredentialsOfTheRegistry(t *testing.T) {
	mirror := newFake(t)
	a := mirror.addBlob(1000)
	mirror.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("the mirror got credentials")
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(401)
		return true
	}
	dir := hostsDir(t, map[string]string{"r.test": fmt.Sprintf("server = \"http://127.0.0.1:1\"\n[host.%q]\n", mirror.url)})
	auth := authFileFor(t, "r.test", "ann", "pw")
	r := repositoryAt(t, "r.test", func(o *Options) { auth(o); o.HostsDirs = []string{dir} })
	if _, err := fetchAll(r, a); err == nil {
		t.Fatal("it came from nowhere")
	}
}

func TestParseHosts(t *testing.T) {
	own := hostSpec{url: &url.URL{Scheme: "https", Host: "r.test"}, caps: canPull | canResolve | canPush}
	specs, err := parseHosts([]byte(`
server = "https://up.test"
[host."http://b.test:5000/some/path"]
  capabilities = ["pull", "resolve", "push"]
  override_path = true
  skip_verify = true
  dial_timeout = "3s"
  ca = "ca.pem"
  client = [["c.pem", "c.key"], ["/abs/d.pem", "d.key"], ["e.pem", ""], "f.pem"]
  proxy = "socks5://p.test:1080"
  unheard_of = [1]
  [host."http://b.test:5000/some/path".header]
    x-key = ["1", "2"]
[host."a.test"]
`), "/dir", own)
	if err != nil {
		t.Fatal(err)
	}
	b, a, up := specs[0], specs[1], specs[2]
	if len(specs) != 3 || a.url.String() != "https://a.test" || up.url.String() != "https://up.test" || b.url.String() != "http://b.test:5000/some/path" {
		t.Fatalf("%v %v %v", specs[0].url, specs[1].url, specs[2].url)
	}
	if a.caps != canPull|canResolve || b.caps != own.caps || up.caps != own.caps {
		t.Errorf("capabilities %b %b %b", a.caps, b.caps, up.caps)
	}
	if !b.overridePath || !b.skipVerify || b.dialTimeout.Seconds() != 3 || fmt.Sprint(b.header["X-Key"]) != "[1 2]" {
		t.Errorf("%+v", b)
	}
	if b.ca[0] != filepath.Join("/dir", "ca.pem") || b.client[0][1] != filepath.Join("/dir", "c.key") || len(b.client) != 4 {
		t.Errorf("files %v %v", b.ca, b.client)
	}
	if e := filepath.Join("/dir", "e.pem"); b.client[2] != [2]string{e, e} || b.client[3][1] != filepath.Join("/dir", "f.pem") || b.proxy.Host != "p.test:1080" {
		t.Errorf("files %v, proxy %v", b.client, b.proxy)
	}
	for _, bad := range []string{
		"server = 5", "server = \"ftp://x\"", "[host.\"https://u:p@x\"]", "[host.\"\"]", "[host.x]\ncapabilities=[\"fly\"]",
		"[host.x]\ndial_timeout=\"soon\"", "[host.x]\nca=5", "= =",
		"[host.x]\ndial_timeout=\"-1s\"", "proxy=\"p.test\"", "proxy=\"http://p.test/a\"", "[header]\n\"a b\"=\"c\"", "[header]\na=\"c\\nd\"",
		"ca=\"\"", "client=[[]]", "client=[\"\"]", "client=[[\"a\",\"b\",\"c\"]]", "client=5",
	} {
		_, err := parseHosts([]byte(bad), "/dir", own)
		if err == nil {
			t.Errorf("%q was taken", bad)
			continue
		}
		wantClass(t, err, content.ErrInvalid)
	}
}

func FuzzParseHosts(f *testing.F) {
	for _, s := range []string{
		"server = \"https://up.test\"\n[host.\"http://b.test\"]\ncapabilities = [\"pull\"]\nclient=[[\"a\",\"b\"]]\n",
		"", "server = \"https://docker.io\"\n\n[host.\"https://registry-1.docker.io\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
		"# mirror\nserver = \"https://registry-1.docker.io\"\n\n[host.\"https://public-mirror.example.com\"]\n  capabilities = [\"pull\"]\n[host.\"https://docker-mirror.internal\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"docker-mirror.crt\"\n",
		"[host.\"http://192.168.31.250:5000\"]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n  skip_verify = true\n",
		"[host.\"https://m.test/v2/prefix\"]\n  override_path = true\n  dial_timeout = \"1s\"\n  [host.\"https://m.test/v2/prefix\".header]\n    x-custom = [\"a\", \"b\"]\n    one = \"c\"\n",
		"server = \"https://r.test\"\nca = [\"/etc/a.crt\", \"b.crt\"]\nclient = \"/etc/c.pem\"\n", "[host]\n  [host.\"127.0.0.1:5000\"]\n", "[host.\"::1\"]\n", "[host.\"https://[::1]:5000/\"]\n",
		"[host.\"https://u:p@x\"]", "[host.\"https://x?q\"]", "[host.\"https://x/a#f\"]", "[host.\"ftp://x\"]", "[host.\"https://\"]", "server = \"https://x/v2//\"", "client = [[\"a\", \"b\", \"c\"]]",
		"capabilities = [\"pull\"]\n", "proxy = \"http://u:p@p.test:3128\"\nclient = [[\"a\", \"\"]]\n[header]\nx-a = \"b\"\n", "host.\"a.test\".skip_verify = true\nhost.\"b.test\".skip_verify = false\n",
	} {
		f.Add(s)
	}
	own := hostSpec{url: &url.URL{Scheme: "https", Host: "r.test"}, caps: canPull | canResolve | canPush}
	f.Fuzz(func(t *testing.T, s string) {
		specs, err := parseHosts([]byte(s), "/dir", own)
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) || specs != nil {
				t.Fatalf("%q: %v, %v", s, specs, err)
			}
			return
		}
		if len(specs) == 0 {
			t.Fatal("nobody answers")
		}
		for i, sp := range specs {
			checkSpec(t, s, sp)
			if i < len(specs)-1 && sp.caps&canPush != 0 && !strings.Contains(s, "push") && !strings.Contains(s, `\`) {
				t.Errorf("%q: %s takes pushes that nobody gave it", s, sp.url)
			}
		}
		if !strings.Contains(s, "server") && !strings.Contains(s, `\`) && specs[len(specs)-1].url.String() != own.url.String() {
			t.Errorf("%q: the last is %s, want the registry itself", s, specs[len(specs)-1].url)
		}
		again, err := parseHosts([]byte(s), "/dir", own)
		if err != nil || fmt.Sprint(urlsOf(again)) != fmt.Sprint(urlsOf(specs)) {
			t.Errorf("%q: %v, then %v", s, urlsOf(specs), urlsOf(again))
		}
	})
}

// checkSpec says what is always so for a host that is asked.
func checkSpec(t *testing.T, s string, sp hostSpec) {
	t.Helper()
	if sp.url.Host == "" || sp.url.User != nil || sp.url.RawQuery != "" || sp.url.Fragment != "" || strings.HasSuffix(sp.url.Path, "/") {
		t.Errorf("%q: %v", s, sp.url)
	}
	if sp.url.Scheme != "http" && sp.url.Scheme != "https" {
		t.Errorf("%q: scheme of %v", s, sp.url)
	}
	for _, file := range slices.Concat(sp.ca, pairsOf(sp.client)) {
		if !filepath.IsAbs(file) {
			t.Errorf("%q: file %q", s, file)
		}
	}
}

func pairsOf(pairs [][2]string) []string {
	var all []string
	for _, p := range pairs {
		all = append(all, p[0], p[1])
	}
	return all
}

func urlsOf(specs []hostSpec) []string {
	var all []string
	for _, sp := range specs {
		all = append(all, sp.url.String())
	}
	return all
}

func TestTLS(t *testing.T) {
	f := emptyFake()
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	var h2 atomic.Bool
	f.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		h2.Store(r.ProtoMajor == 2)
		return false
	}
	s.StartTLS()
	defer s.Close()
	u, _ := url.Parse(s.URL)
	f.url = u
	desc := f.addBlob(300_000)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	certs := t.TempDir()
	_ = os.MkdirAll(filepath.Join(certs, u.Host), 0o755)
	_ = os.WriteFile(filepath.Join(certs, u.Host, "ca.crt"), ca, 0o644)
	trusted := hostsDir(t, map[string]string{u.Host: "server = \"" + s.URL + "\"\nca = \"ca.pem\"\n"})
	_ = os.WriteFile(filepath.Join(trusted, u.Host, "ca.pem"), ca, 0o644)
	distrusted := hostsDir(t, map[string]string{u.Host: "server = \"" + s.URL + "\"\n"})
	skipping := hostsDir(t, map[string]string{u.Host: "server = \"" + s.URL + "\"\nskip_verify = true\n"})

	for name, o := range map[string]func(*Options){
		"certificate folder": func(o *Options) { o.CertDirs = []string{certs} },
		"ca in hosts.toml":   func(o *Options) { o.HostsDirs = []string{trusted} },
		"skip_verify":        func(o *Options) { o.HostsDirs = []string{skipping} },
		"insecure":           func(o *Options) { o.HostsDirs, o.Insecure = []string{distrusted}, true },
	} {
		t.Run(name, func(t *testing.T) {
			r := f.repository(t, o)
			mustFetch(t, f, r, desc)
			up, data := somewhere(f, 3<<20)
			if err := r.Push(context.Background(), up, bytes.NewReader(data)); err != nil || !h2.Load() {
				t.Fatalf("push: %v, HTTP/2: %v", err, h2.Load())
			}
		})
	}
	r := f.repository(t, func(o *Options) { o.HostsDirs = []string{distrusted} })
	_, err := fetchAll(r, desc)
	wantClass(t, err, content.ErrUnavailable)
	if !strings.Contains(content.Hint(err), "certs.d") || r.client.Stats().Requests != 1 {
		t.Errorf("hint %q after %d requests", content.Hint(err), r.client.Stats().Requests)
	}
	plain := newFake(t)
	wrong := hostsDir(t, map[string]string{"p.test": "server = \"https://" + plain.url.Host + "\"\n"})
	_, err = fetchAll(repositoryAt(t, "p.test", func(o *Options) { o.HostsDirs = []string{wrong} }), desc)
	wantClass(t, err, content.ErrUnavailable)
	if !strings.Contains(content.Hint(err), "plain HTTP") {
		t.Errorf("hint %q", content.Hint(err))
	}
}

func TestSkipVerifyEndsAtTheHost(t *testing.T) {
	c := testClient(t, nil)
	rt, err := c.transportFor(hostSpec{url: &url.URL{Scheme: "https", Host: "r.test"}, skipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	conf := func(rt http.RoundTripper) *tls.Config { return rt.(*http.Transport).TLSClientConfig }
	if !conf(rt).InsecureSkipVerify || conf(c.foreignFor(rt)).InsecureSkipVerify {
		t.Fatal("where the host redirects to is not verified")
	}
}
