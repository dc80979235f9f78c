package registryclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// credential is what a file or a helper knows for a registry.
type credential struct {
	username      string
	password      string
	identityToken string // an OAuth2 refresh token
	registryToken string // a bearer token, sent as it is
	from          string // the file it came from, for messages
}

func (c credential) empty() bool {
	return c.username == "" && c.password == "" && c.identityToken == "" && c.registryToken == ""
}

// hubKey is the name that Docker Hub's credentials are kept under.
const hubKey = "https://index.docker.io/v1/"

// credentialFiles looks credentials up in the files of the ecosystem. They are
// read once, at the first look.
type credentialFiles struct {
	explicit string
	paths    []string
	warn     func(string)

	once  sync.Once
	files []authFile
	err   error

	mu    sync.Mutex // held while a helper is asked: it may be asking its user
	known map[string]credential
}

// authFile is a docker config.json or a containers auth.json.
type authFile struct {
	path        string
	Auths       map[string]authEntry `json:"auths"`
	CredsStore  string               `json:"credsStore"`
	CredHelpers map[string]string    `json:"credHelpers"`
}

type authEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func newCredentialFiles(o Options) *credentialFiles {
	f := &credentialFiles{explicit: o.AuthFile, warn: o.Warn, known: map[string]credential{}}
	if o.AuthFile != "" {
		f.paths = append(f.paths, o.AuthFile)
	}
	if !o.NoAuthFiles {
		f.paths = append(f.paths, environmentFiles()...)
	}
	return f
}

// environmentFiles are the files that the environment names, in the order in
// which they are asked.
func environmentFiles() []string {
	var paths []string
	if p := os.Getenv("REGISTRY_AUTH_FILE"); p != "" {
		paths = append(paths, p)
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		paths = append(paths, filepath.Join(d, "containers", "auth.json"))
	}
	if d := xdgConfig(); d != "" {
		paths = append(paths, filepath.Join(d, "containers", "auth.json"))
	}
	if d := os.Getenv("DOCKER_CONFIG"); d != "" {
		return append(paths, filepath.Join(d, "config.json"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		paths = append(paths, filepath.Join(home, ".docker", "config.json"))
	}
	return paths
}

// lookup finds the credential for a repository of the host that u is about, once
// for all. The zero credential means that there is none.
func (f *credentialFiles) lookup(ctx context.Context, u *url.URL, repository string) (credential, error) {
	f.once.Do(f.load)
	if f.err != nil {
		return credential{}, f.err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := u.Scheme + "://" + u.Host + "/" + repository
	if c, ok := f.known[key]; ok {
		return c, nil
	}
	c, err := f.search(ctx, u, repository)
	if err == nil && ctx.Err() == nil {
		f.known[key] = c
	}
	return c, err
}

func (f *credentialFiles) search(ctx context.Context, u *url.URL, repository string) (credential, error) {
	for _, file := range f.files {
		for _, key := range credentialKeys(u, repository) {
			c, err := f.fromKey(ctx, file, key, u.Scheme)
			if err != nil || !c.empty() {
				return c, err
			}
		}
	}
	return credential{}, nil
}

func (f *credentialFiles) load() {
	for _, path := range f.paths {
		file, err := readAuthFile(path)
		switch {
		case err == nil:
			f.files = append(f.files, file)
		case path == f.explicit:
			f.err = err
			return
		case !errors.Is(err, fs.ErrNotExist):
			f.warn(fmt.Sprintf("credentials in %s are not used: %v", path, err))
		}
	}
}

func readAuthFile(path string) (authFile, error) {
	data, err := readCapped(path, maxConfigBytes)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("auth file %s: %w: %w", path, content.ErrNotFound, fs.ErrNotExist)
		}
		return authFile{}, err
	}
	file := authFile{path: path}
	if len(strings.TrimSpace(string(data))) == 0 {
		return file, nil
	}
	// The text of a JSON error may quote what it stumbled over, and that may be a
	// secret.
	if json.Unmarshal(data, &file) != nil {
		return authFile{}, fmt.Errorf("auth file %s: %w: not the JSON of docker's config.json or of containers' auth.json", path, content.ErrInvalid)
	}
	return file, nil
}

// credentialKeys lists the keys for a repository, longest prefix first:
// host/a/b, host/a, host.
func credentialKeys(u *url.URL, repository string) []string {
	host := credentialHost(u.Scheme, u.Host)
	var keys []string
	for path := repository; path != ""; {
		keys = append(keys, host+"/"+path)
		i := strings.LastIndexByte(path, '/')
		path = path[:max(i, 0)]
	}
	return append(keys, host)
}

// credentialHost is the name a host's credentials go by: all names of Docker Hub
// are one, and the scheme's own port goes unsaid.
func credentialHost(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		host = strings.TrimSuffix(host, ":443")
	}
	switch host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return oci.DockerHub
	}
	return host
}

// normalKey is a file's key in the form of credentialKeys, and the scheme it
// insists on ("" for any).
func normalKey(key string) (normal, scheme string) {
	scheme, rest, ok := strings.Cut(key, "://")
	if !ok {
		scheme, rest = "", key
	}
	rest = strings.TrimRight(rest, "/")
	if ok {
		rest = strings.TrimSuffix(strings.TrimSuffix(rest, "/v1"), "/v2")
	}
	host, path, _ := strings.Cut(rest, "/")
	host = credentialHost(scheme, host)
	if path != "" {
		host += "/" + path
	}
	return host, scheme
}

// find returns the key of m that stands for key, preferring the exact one.
func find[V any](m map[string]V, key, scheme string) (string, bool) {
	if _, ok := m[key]; ok {
		return key, true
	}
	var found []string
	for k := range m {
		n, s := normalKey(k)
		if n == key && (s == "" || s == scheme) {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return "", false
	}
	return slices.Min(found), true
}

// fromKey asks one file for one key: the helper of that key, then the store,
// then the file's own entry.
func (f *credentialFiles) fromKey(ctx context.Context, file authFile, key, scheme string) (credential, error) {
	isHost := !strings.Contains(key, "/")
	if k, ok := find(file.CredHelpers, key, scheme); ok {
		c, ok := f.ask(ctx, file, file.CredHelpers[k], k)
		if ok {
			return c, nil
		}
	}
	entry, marked := find(file.Auths, key, scheme)
	if file.CredsStore != "" && (isHost || marked) {
		c, ok := f.ask(ctx, file, file.CredsStore, storeKey(key, entry))
		if ok {
			return c, nil
		}
	}
	if !marked {
		return credential{}, nil
	}
	return file.Auths[entry].credential(file.path, entry)
}

// storeKey is what a credential store is asked for: the key as the file spells
// it, else the conventional one.
func storeKey(key, entry string) string {
	switch {
	case entry != "":
		return entry
	case key == oci.DockerHub:
		return hubKey
	}
	return key
}

// ask runs a helper. One that is missing or fails is worth a warning, and the
// next source is asked.
func (f *credentialFiles) ask(ctx context.Context, file authFile, helper, key string) (credential, bool) {
	c, err := runHelper(ctx, helper, key)
	if err != nil {
		f.warn(fmt.Sprintf("%s: credential helper %s: %v", file.path, printable(helper, 60), err))
		return credential{}, false
	}
	c.from = file.path
	return c, !c.empty()
}

// credential decodes an entry. Its errors name the entry, never its content.
func (e authEntry) credential(path, key string) (credential, error) {
	c := credential{
		username: e.Username, password: e.Password,
		identityToken: e.IdentityToken, registryToken: e.RegistryToken, from: path,
	}
	if e.Auth != "" {
		text, err := decodeBase64(e.Auth)
		user, pass, ok := strings.Cut(text, ":")
		if err != nil || !ok {
			return credential{}, fmt.Errorf("auth file %s: entry %q: %w: auth is not base64 of user:password", path, printable(key, 200), content.ErrInvalid)
		}
		c.username, c.password = user, strings.TrimRight(pass, "\x00")
	}
	if c.username == "<token>" && c.identityToken == "" {
		c.identityToken, c.username, c.password = c.password, "", ""
	}
	return c, nil
}

func decodeBase64(s string) (string, error) {
	p, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		p, err = base64.RawStdEncoding.DecodeString(s)
	}
	return string(p), err
}
