package registryclient_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

const segment = 128 << 10

// layers are those of the image that meets the faults: one for the window of
// ranges, one that fills a segment, and one that is small.
var layers = [][]byte{registrytest.Bytes(1, 5*segment+77), registrytest.Bytes(2, segment), registrytest.Bytes(3, 30_000)}

// tagNames are the tags of the source.
var tagNames = []string{"v1", "v2", "v3", "v4", "v5"}

// world is one run of a verb: where content comes from, where it goes to, and a
// third host that neither trusts, which holds what the source holds.
type world struct {
	t     *testing.T
	src   *registrytest.Registry
	dst   *registrytest.Registry
	other *registrytest.Registry
	local content.Store // what pull writes to and push reads from

	image   oci.Descriptor
	blobs   map[oci.Digest]int64 // all there is of it, with sizes
	big     oci.Descriptor       // its largest layer
	listed  []string
	mounts  bool // the target has a repository that holds everything
	options registryclient.Options
	think   time.Duration // how long a registry may think, 0 is minutes
	closers []func()

	mu  sync.Mutex
	now [2]time.Time // what the clocks of the target's and the source's tokens say
}

// setting is how a world differs from the usual one.
type setting struct {
	stream bool // one stream in place of the window
	auth   *registrytest.Auth
	tls    bool
	change func(*registryclient.Options)
}

func newWorld(t *testing.T, s setting) *world {
	w := &world{t: t, local: memory.New()}
	auth := registrytest.Auth{Bearer: true}
	if s.auth != nil {
		auth = *s.auth
	}
	store := memory.New()
	w.src = w.registry(registrytest.Options{Store: store, Auth: w.as(auth, "ann"), TLS: s.tls})
	w.other = w.registry(registrytest.Options{Store: store})
	w.dst = w.registry(registrytest.Options{Auth: w.as(auth, "bob")})
	w.seed(store)
	w.options = registryclient.Options{
		HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true, AuthFile: w.credentials(),
		RetryBase: time.Millisecond, StallTimeout: 10 * time.Second,
		Window: registryclient.Window{SegmentBytes: segment, Enough: -1},
		Warn:   func(m string) { t.Log("warning:", m) },
	}
	if s.stream {
		w.options.Window.Enough = 1
	}
	if s.tls {
		w.options.CertDirs = []string{w.authority()}
	}
	if s.change != nil {
		s.change(&w.options)
	}
	return w
}

// pass lets time pass for the tokens of one registry.
func (w *world) pass(ofSource bool, d time.Duration) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := 0
	if ofSource {
		i = 1
	}
	w.now[i] = w.now[i].Add(d)
	return w.now[i]
}

// as is a for one user, who is ann at the source.
func (w *world) as(a registrytest.Auth, user string) *registrytest.Auth {
	a.User, a.Password = user, "of "+user
	a.Now = func() time.Time { return w.pass(user == "ann", 0) }
	return &a
}

func (w *world) seed(store content.Store) {
	w.image = w.src.PushImage("team/app:v1", layers...)
	for _, tag := range tagNames[1:] {
		w.src.Tag("team/app:"+tag, w.image.Digest)
	}
	w.blobs = map[oci.Digest]int64{}
	for info, err := range store.All(w.t.Context()) {
		w.must(err)
		w.blobs[info.Digest] = info.Size
	}
	w.big = oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes(layers[0]), Size: int64(len(layers[0]))}
}

// hold puts the image into a store.
func (w *world) hold(to content.Store) {
	from := w.src.Store()
	for d := range w.blobs {
		info, err := from.Info(w.t.Context(), d)
		w.must(err)
		data, err := content.ReadAll(w.t.Context(), from, info.Descriptor(), 1<<30)
		w.must(err)
		contenttest.Put(w.t, to, "", info.MediaType, data)
	}
}

// credentials is an auth file with other ones for each registry.
func (w *world) credentials() string {
	entry := func(host, user string) string {
		return fmt.Sprintf("%q:{\"auth\":%q}", host, base64.StdEncoding.EncodeToString([]byte(user+":of "+user)))
	}
	path := filepath.Join(w.t.TempDir(), "auth.json")
	w.must(os.WriteFile(path, []byte(`{"auths":{`+entry(w.src.Host, "ann")+","+entry(w.dst.Host, "bob")+`}}`), 0o600))
	return path
}

// authority is a certificate folder for a source with TLS.
func (w *world) authority() string {
	dir := w.t.TempDir()
	w.must(os.Mkdir(filepath.Join(dir, w.src.Host), 0o755))
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.src.Certificate().Raw})
	w.must(os.WriteFile(filepath.Join(dir, w.src.Host, "ca.crt"), ca, 0o600))
	return dir
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) client() *registryclient.Client {
	c, err := registryclient.New(w.options)
	w.must(err)
	if w.think > 0 {
		c.Think(w.think)
	}
	w.closers = append(w.closers, c.CloseIdle)
	return c
}

// registry starts one. It does not end by t.Cleanup: a test holds on to what its
// cleanups knew until all its neighbours have ended, too.
func (w *world) registry(o registrytest.Options) *registrytest.Registry {
	reg, err := registrytest.NewServer(o)
	w.must(err)
	w.closers = append(w.closers, func() { reg.Heal(); reg.Close() })
	return reg
}

func (w *world) close() {
	for _, c := range slices.Backward(w.closers) {
		c()
	}
}

func repositoryAt(t *testing.T, c *registryclient.Client, reg *registrytest.Registry) (*registryclient.Repository, oci.Reference) {
	ref, err := oci.ParseReference(reg.Ref("team/app:v1"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Repository(ref), ref
}

// run does a verb, as the command line does it.
func (w *world) run(ctx context.Context, verb string) error {
	c := w.client()
	from, ref := repositoryAt(w.t, c, w.src)
	to, name := repositoryAt(w.t, c, w.dst)
	to = to.ForPush()
	switch verb {
	case "tags":
		w.listed = nil
		for tag, err := range from.Tags(ctx) {
			if err != nil {
				return err
			}
			w.listed = append(w.listed, tag)
		}
		return nil
	case "pull":
		desc, err := from.Resolve(ctx, ref)
		if err == nil {
			err = w.copy(ctx, held{w.local}, from, desc)
		}
		if err == nil {
			err = w.local.SetNames(ctx, content.NameChange{Reference: ref, Target: desc.Digest, Why: "pull"})
		}
		return err
	case "push":
		if err := w.copy(ctx, to, w.local, w.image); err != nil {
			return err
		}
		return to.Tag(ctx, w.image, name)
	case "copy":
		desc, err := from.Resolve(ctx, ref)
		if err == nil {
			err = w.copy(ctx, to, from, desc)
		}
		if err == nil {
			err = to.Tag(ctx, desc, name)
		}
		return err
	}
	return fmt.Errorf("no such verb: %s", verb)
}

func (w *world) copy(ctx context.Context, dst content.Target, src any, root oci.Descriptor) error {
	opts := content.CopyOptions{}
	if w.mounts {
		opts.MountFrom = func(oci.Descriptor) []oci.Reference {
			return []oci.Reference{{Registry: w.dst.Host, Repository: "team/base"}}
		}
	}
	from, ok := src.(content.Source)
	if !ok {
		return errors.New("no source")
	}
	_, err := content.Copy(ctx, dst, from, root, opts)
	return err
}

// held lets a store be copied to.
type held struct{ content.Store }

func (h held) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	_, err := h.Info(ctx, desc.Digest)
	if errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (h held) Push(context.Context, oci.Descriptor, io.Reader) error {
	return errors.New("a store is written to by ingests")
}

func (h held) Tag(context.Context, oci.Descriptor, oci.Reference) error {
	return errors.New("a store is named by SetNames")
}

// target is where the verb's content ends.
func (w *world) target(verb string) content.Store {
	if verb == "pull" {
		return w.local
	}
	return w.dst.Store()
}

// whole checks that the target has all of the image, byte for byte, and its name.
func (w *world) whole(verb string) {
	w.t.Helper()
	if verb == "tags" {
		if !slices.Equal(w.listed, tagNames) {
			w.t.Errorf("tags %q, want %q", w.listed, tagNames)
		}
		return
	}
	to := w.target(verb)
	for d, size := range w.blobs {
		if n := w.sound(to, d); n != size {
			w.t.Errorf("%s has %d bytes at the target, want %d", d, n, size)
		}
	}
	names := 0
	for n, err := range to.Names(context.Background(), "") {
		w.must(err)
		if names++; n.Target.Digest != w.image.Digest {
			w.t.Errorf("%s stands for %s", n.Reference, n.Target.Digest)
		}
	}
	if names != 1 {
		w.t.Errorf("%d names at the target, want one", names)
	}
}

// nothing checks that the target shows nothing of what failed: no name, no
// manifest, and no blob whose bytes are not its digest's.
func (w *world) nothing(verb string) {
	w.t.Helper()
	if verb == "tags" {
		return
	}
	to := w.target(verb)
	for n, err := range to.Names(context.Background(), "") {
		w.must(err)
		w.t.Errorf("the target shows %s", n.Reference)
	}
	for info, err := range to.All(context.Background()) {
		w.must(err)
		if oci.HasSuccessors(info.MediaType) {
			w.t.Errorf("the target shows the manifest %s", info.Digest)
		}
		w.sound(to, info.Digest)
	}
}

// sound reads and hashes a blob; -1 when it is not there.
func (w *world) sound(s content.Store, d oci.Digest) int64 {
	w.t.Helper()
	ra, err := s.ReaderAt(context.Background(), oci.Descriptor{Digest: d})
	if err != nil {
		return -1
	}
	defer ra.Close()
	data, err := io.ReadAll(io.NewSectionReader(ra, 0, ra.Size()))
	w.must(err)
	if got := d.Algorithm().FromBytes(data); got != d {
		w.t.Errorf("%s at the target hashes to %s", d, got)
	}
	return int64(len(data))
}

// discreet checks that credentials went to whom they are for, and nowhere else.
func (w *world) discreet() {
	w.t.Helper()
	seen := map[string]string{}
	for host, reg := range map[string]*registrytest.Registry{"ann": w.src, "bob": w.dst} {
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(host+":of "+host))
		for _, q := range reg.Requests() {
			switch a := q.Authorization; {
			case a == "" || a == basic:
			case strings.HasPrefix(a, "Bearer "):
				if seen[a] != "" && seen[a] != host {
					w.t.Errorf("%s got a token of %s", host, seen[a])
				}
				seen[a] = host
			default:
				w.t.Errorf("the registry of %s got other credentials with %s %s", host, q.Method, q.Path)
			}
		}
	}
	for _, q := range w.other.Requests() {
		if q.Authorization != "" || strings.Contains(q.Query, "ann") || strings.Contains(q.Query, "bob") {
			w.t.Errorf("the third host got credentials with %s %s", q.Method, q.Path)
		}
	}
}

// refused are the bytes of uploads that a target did not let in. Their content was
// on its way by then, and a copy has to read it once more.
func (w *world) refused() float64 {
	var n int64
	for _, q := range w.dst.Matching(registrytest.Match{Kind: upload}) {
		if q.Status == http.StatusUnauthorized {
			n += q.Announced
		}
	}
	return float64(n) / float64(w.size())
}

// size is that of the image's blobs.
func (w *world) size() (n int64) {
	for d, size := range w.blobs {
		if d != w.image.Digest {
			n += size
		}
	}
	return n
}

// account is what went over the wire for who has the user agent of w.options.
type account struct {
	requests int
	in, out  float64 // bytes over those of the image's blobs
}

func (w *world) account() account {
	var a account
	var in, out int64
	for _, reg := range []*registrytest.Registry{w.src, w.dst, w.other} {
		for _, q := range reg.Requests() {
			if q.UserAgent != cmp.Or(w.options.UserAgent, "dist") {
				continue
			}
			a.requests++
			switch {
			case q.Kind == upload:
				out += q.Received
			case q.Kind == blob && q.Method == http.MethodGet && (q.Status == http.StatusOK || q.Status == http.StatusPartialContent):
				in += q.Sent
			}
		}
	}
	all := float64(w.size())
	a.in, a.out = float64(in)/all, float64(out)/all
	return a
}

// elsewhere is address at the third host, by another name of this machine.
func (w *world) elsewhere(path string) string {
	u, err := url.Parse(w.other.URL)
	w.must(err)
	return "http://localhost:" + u.Port() + path
}
