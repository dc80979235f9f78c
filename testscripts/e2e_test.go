package testscripts

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dist.example/registryserver/registrytest"
)

// peer is another program that scripts meet, and where it comes from.
type peer struct{ program, from string }

// peers are those that the scripts of the folder e2e meet.
var peers = []peer{
	{"docker-registry", "apt-get install docker-registry, on Debian (no service of it is used)"},
	{"skopeo", "apt-get install skopeo, on Debian"},
	{"jq", "apt-get install jq, on Debian"},
	{"crane", "go install github.com/google/go-containerregistry/cmd/crane@v0.22.1"},
}

// clients are those that the scripts of e2e/clients meet besides.
var clients = []peer{
	{"podman", "apt-get install podman, on Debian"},
	{"containerd", "apt-get download containerd runc, on Debian (no service of it is used)"},
	{"ctr", "it comes with containerd"},
	{"oras", "go install oras.land/oras/cmd/oras@v1.3.6"},
	{"regctl", "go install github.com/regclient/regclient/cmd/regctl@v0.11.7"},
}

// withPeers says whether scripts meet other programs, which make e2e asks for.
func withPeers() bool { return os.Getenv("DIST_E2E") != "" }

// TestPeers runs the scripts of the folder e2e. Their $REGISTRY is Debian's
// docker-registry, behind a proxy that counts and stops what passes.
func TestPeers(t *testing.T) {
	meetPeers(t, peers)
	p := peerParams("e2e", startPeer)
	p.Cmds["protected"] = protected
	testscript.Run(t, p)
}

// TestClients runs the scripts of e2e/clients: programs that people have push to and
// pull from what dist serves. $SHORT is a folder with a path that is short enough for
// sockets.
func TestClients(t *testing.T) {
	meetPeers(t, slices.Concat(peers, clients))
	p := peerParams("e2e/clients", func(env *testscript.Env) error {
		dir, err := os.MkdirTemp("", "dist")
		env.Defer(func() { _ = os.RemoveAll(dir) })
		env.Setenv("SHORT", dir)
		return errors.Join(err, startPeer(env))
	})
	p.Condition = func(cond string) (bool, error) {
		if cond != "root" {
			return false, fmt.Errorf("no condition %q", cond)
		}
		return os.Geteuid() == 0, nil
	}
	testscript.Run(t, p)
}

// meetPeers skips t where scripts meet no other programs, and ends it where one of
// them is missing.
func meetPeers(t *testing.T, peers []peer) {
	t.Helper()
	if !withPeers() {
		t.Skip("meets other programs; use make e2e")
	}
	for _, p := range peers {
		if _, err := exec.LookPath(p.program); err != nil {
			t.Errorf("%s is missing: %s", p.program, p.from)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// peerParams are params for scripts whose registry is behind a proxy.
func peerParams(dir string, registry func(*testscript.Env) error) testscript.Params {
	p := params(dir, registry)
	delete(p.Cmds, "seed") // fills registries of the project's own
	p.Cmds["stopat"] = stopAt
	p.Cmds["stopped"] = stopped
	p.Cmds["breakat"] = breakAt
	p.Cmds["traffic"] = traffic
	p.Cmds["peaks"] = peaks
	return p
}

// startPeer gives a script its own docker-registry, at $REGISTRY, which keeps its
// blobs below $REGISTRY_BLOBS.
func startPeer(env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, "docker-registry")
	address, err := runPeer(dir, peerOptions{}, env.Defer)
	if err != nil {
		return err
	}
	env.Setenv("REGISTRY_BLOBS", filepath.Join(dir, "root", "docker", "registry", "v2", "blobs", "sha256"))
	return recorded(env, registrytest.Options{Handler: proxyTo(address, nil)})
}

// recorded puts the registry of o between a script and what answers it, as
// $REGISTRY.
func recorded(env *testscript.Env, o registrytest.Options) error {
	r, err := registrytest.NewServer(o)
	if err != nil {
		return err
	}
	env.Defer(r.Close)
	env.Values[registryKey{}] = r
	env.Defer(r.Heal) // or else requests that wait keep it from closing
	env.Values[gateKey{}] = new(*gate)
	env.Setenv("REGISTRY", r.Host)
	return nil
}

// protected starts one more docker-registry, at $PROTECTED, which lets in only
// those who are in an htpasswd file.
func protected(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: protected HTPASSWD")
	}
	address, err := runPeer(ts.MkAbs("protected"), peerOptions{auth: htpasswdAuth(ts.MkAbs(args[0]))}, ts.Defer)
	ts.Check(err)
	ts.Setenv("PROTECTED", address)
}

// peerOptions are lines of a docker-registry's configuration, in YAML.
type peerOptions struct {
	auth string // whom it lets in, "" for everybody
	tls  string // its certificate and key, "" for plain HTTP
}

func htpasswdAuth(file string) string {
	return fmt.Sprintf("{htpasswd: {realm: e2e, path: %q}}", file)
}

// runPeer starts a docker-registry in a folder of its own and returns its address.
func runPeer(dir string, o peerOptions, atEnd func(func())) (string, error) {
	config := fmt.Sprintf(`version: 0.1
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0", secret: known, tls: %s}
auth: %s
`, filepath.Join(dir, "root"), cmp.Or(o.tls, "{}"), cmp.Or(o.auth, "{}"))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return "", err
	}
	log := &listening{found: make(chan string, 1)}
	cmd := exec.Command("docker-registry", "serve", file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // REGISTRY_… of this machine would change the configuration
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	atEnd(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	select {
	case address := <-log.found:
		return address, nil
	case <-ended:
	case <-time.After(time.Minute):
	}
	return "", fmt.Errorf("docker-registry does not listen: %s", log)
}

// listening finds in a log where a server listens.
type listening struct {
	mu    sync.Mutex
	log   bytes.Buffer // up to that line
	found chan string  // sent to once
	done  bool
}

func (l *listening) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return len(p), nil
	}
	l.log.Write(p)
	if m := regexp.MustCompile(`listening on ([0-9.]+:[0-9]+)`).FindSubmatch(l.log.Bytes()); m != nil {
		l.done = true
		l.found <- string(m[1])
	}
	return len(p), nil
}

func (l *listening) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.String()
}

// proxyTo passes everything on as it is, over TLS where that is given. The registry
// behind it takes the proxy's address for its own, so that its links lead by here,
// too.
func proxyTo(address string, over *tls.Config) http.Handler {
	to := &url.URL{Scheme: "http", Host: address}
	if over != nil {
		to.Scheme = "https"
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		Transport:    &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16, TLSClientConfig: over},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0), // clients that are killed
	}
}
