package testscripts

import (
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/registryserver/registrytest"
)

// exampleWorld is what examples find when they run: what examples/world.sh makes of an
// empty box, and programs that stand in for those of others.
type exampleWorld struct {
	made     *exampleSession
	images   map[string]*registrytest.Registry // by the host that each answers for
	programs string                            // folder of examples/bin
	web      []string                          // variables by which https://example.com is reached
}

// hostInName is the host of what may be the name of an image, and the slash behind it.
var hostInName = regexp.MustCompile(`\b(?:(?:[a-z0-9-]+\.)+[a-z0-9]+(?::[0-9]+)?|localhost:[0-9]+)/`)

// newExampleWorld makes the world. world.sh pushes to what hosts it likes.
func newExampleWorld(t *testing.T) *exampleWorld {
	t.Helper()
	w := &exampleWorld{images: map[string]*registrytest.Registry{}, programs: t.TempDir()}
	scripts, err := filepath.Glob("examples/bin/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scripts {
		data, err := os.ReadFile(name)
		if err == nil { // executable, whatever became of that in a copy of the tree
			err = os.WriteFile(filepath.Join(w.programs, filepath.Base(name)), data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const script = "examples/world.sh"
	w.made = &exampleSession{t: t, page: script, dir: t.TempDir(), world: w, hosts: map[string]string{}, ports: strings.NewReplacer()}
	w.web = exampleWeb(t, w.programs)
	text := readScript(t, script)
	for _, host := range hostsIn(text) {
		if w.images[host] == nil {
			w.images[host] = registrytest.New(t, registrytest.Options{})
			w.made.hosts[host] = w.images[host].URL
		}
	}
	w.made.runScript(text)
	// Some changes of names are years old.
	w.made.change("UPDATE ref_log SET at = at / 2 WHERE name IN ('docker.io/library/redis:7', 'docker.io/team/app:v1')")
	return w
}

// before is the script that prepares the world for a document, where there is one.
func before(page string) string {
	name := strings.NewReplacer("../docs/cli/", "", "../", "", "/", "-", ".md", ".sh").Replace(page)
	return filepath.Join("examples", "before", name)
}

// hostsIn are the hosts of what may be the names of images.
func hostsIn(text string) []string {
	var hosts []string
	for _, found := range hostInName.FindAllString(text, -1) {
		if host := strings.TrimSuffix(found, "/"); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

func readScript(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// runScript prepares something, whose failure ends the test.
func (s *exampleSession) runScript(text string) {
	s.t.Helper()
	if out := s.run(example{text: "set -e\n" + text}); out.exit != 0 {
		s.t.Fatalf("preparing %s: exit %d\n%s%s", s.page, out.exit, out.stdout, out.stderr)
	}
}

// change changes the catalog of the reader's store.
func (s *exampleSession) change(statement string) {
	s.t.Helper()
	catalog := filepath.Join(s.dir, "home", reader, ".local", "share", "dist", "catalog.db")
	if _, err := os.Stat(catalog); errors.Is(err, fs.ErrNotExist) {
		return
	}
	db, err := sql.Open("sqlite", catalog)
	s.must(err)
	defer db.Close()
	_, err = db.Exec(statement)
	s.must(err)
}

// session is a copy of the world for one document, prepared by its script in
// examples/before, if it has one. Registries answer for all hosts that it names, empty
// ones for those that are not of the world. The help of verbs and topics finds files, a
// store and keys; any other document makes what it needs.
func (w *exampleWorld) session(t *testing.T, page string, all []example) *exampleSession {
	t.Helper()
	s := &exampleSession{t: t, page: page, dir: t.TempDir(), world: w, hosts: map[string]string{}, ports: strings.NewReplacer()}
	t.Cleanup(s.killServers)
	parts := []string{"root"}
	if filepath.Base(filepath.Dir(page)) == "cli" {
		parts = append(parts, reader, "home")
	}
	for _, part := range parts {
		if out, err := exec.Command("cp", "-a", filepath.Join(w.made.dir, part), s.dir).CombinedOutput(); err != nil {
			t.Fatalf("copy %s: %v\n%s", part, err, out)
		}
	}
	text := ""
	for _, e := range all {
		text += e.text + "\n"
	}
	script, err := os.ReadFile(before(page))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for host, r := range w.images {
		s.hosts[host] = copyRegistry(t, r).URL
	}
	s.ports = s.ownPorts(text + string(script))
	for _, host := range hostsIn(text + string(script)) {
		if s.hosts[host] == "" && s.ports.Replace(host) == host {
			s.hosts[host] = registrytest.New(t, registrytest.Options{}).URL
		}
	}
	s.runScript(string(script))
	s.change("UPDATE leases SET id = '5f2a90c1' || substr(id, 9) WHERE kind = 3") // the one of the examples
	return s
}

// copyRegistry is a registry with the same in it.
func copyRegistry(t *testing.T, from *registrytest.Registry) *registrytest.Registry {
	t.Helper()
	to := registrytest.New(t, registrytest.Options{})
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	for info, err := range from.Store().All(t.Context()) {
		must(err)
		data, err := content.ReadAll(t.Context(), from.Store(), info.Descriptor(), info.Size)
		must(err)
		to.PutBlob(info.MediaType, data)
	}
	for name, err := range from.Store().Names(t.Context(), "") {
		must(err)
		to.Tag(name.Reference.String(), name.Target.Digest)
	}
	return to
}

// exampleWeb lets https://example.com and the hosts below it answer every GET with the
// four bytes that 9f86d081… is the digest of, through a proxy, and returns the variables
// that lead there. What it proves itself with is in fullchain.pem and privkey.pem of dir.
func exampleWeb(t *testing.T, dir string) []string {
	t.Helper()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "test") }))
	t.Cleanup(web.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		host, _, _ := net.SplitHostPort(req.Host)
		if req.Method != http.MethodConnect || !strings.HasSuffix("."+host, ".example.com") {
			http.Error(w, "it is not here", http.StatusBadGateway)
			return
		}
		if err := connect(w, web.Listener.Addr().String()); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	}))
	t.Cleanup(proxy.Close)
	key, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(dir, "fullchain.pem")
	for name, block := range map[string]*pem.Block{
		authority:                         {Type: "CERTIFICATE", Bytes: web.Certificate().Raw},
		filepath.Join(dir, "privkey.pem"): {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + authority}
}

// connect carries what comes over a connection to addr, and back.
func connect(w http.ResponseWriter, addr string) error {
	behind, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer behind.Close()
	w.WriteHeader(http.StatusOK)
	front, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer front.Close()
	go func() { _, _ = io.Copy(behind, buffered) }()
	_, _ = io.Copy(front, behind)
	return nil
}
