package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"dist.example/fsys"
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

// credentialFiles looks credentials up in the files of the ecosystem. They are
// read once, at the first look, and again after a change.
type credentialFiles struct {
	explicit string
	paths    []string
	warn     func(string)
	disk     fsys.FS // where they are changed
	offline  bool    // look-ups ask no helper, which may use the network

	mu     sync.Mutex // held while a helper is asked: it may be asking its user
	loaded bool
	files  []authFile
	err    error
	known  map[string]credential
	warned map[string]bool
}

func newCredentialFiles(o Options) *credentialFiles {
	f := &credentialFiles{explicit: o.AuthFile, warn: o.Warn, disk: fsys.OS(), offline: o.Offline, warned: map[string]bool{}}
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
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.load(); f.err != nil {
		return credential{}, f.err
	}
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

// load reads the files, unless they were read. Callers hold f.mu.
func (f *credentialFiles) load() {
	if f.loaded {
		return
	}
	f.loaded, f.files, f.err, f.known = true, nil, nil, map[string]credential{}
	for _, path := range f.paths {
		file, err := readAuthFile(path)
		switch {
		case err == nil:
			f.files = append(f.files, file)
		case path == f.explicit:
			f.err = err
			return
		case !errors.Is(err, fs.ErrNotExist):
			f.warnOnce(fmt.Sprintf("credentials in %s are not used: %v", path, err))
		}
	}
}

// fromKey asks one file for one key: its helpers, then its own entry.
func (f *credentialFiles) fromKey(ctx context.Context, file authFile, key, scheme string) (credential, error) {
	entry, marked := find(file.Auths, key, scheme)
	for _, h := range file.helpers(key, scheme, marked) {
		if c, ok := f.ask(ctx, file, h); ok {
			return c, nil
		}
	}
	if !marked {
		return credential{}, nil
	}
	return file.Auths[entry].credential(file.path, entry)
}

// ask asks a helper. One that is missing or fails is worth a warning, and the
// next source is asked.
func (f *credentialFiles) ask(ctx context.Context, file authFile, h helper) (credential, bool) {
	if f.offline {
		f.warnOnce(fmt.Sprintf("%s: credential helper %s is not asked, since the network is not to be used", file.path, printable(h.name, 60)))
		return credential{}, false
	}
	c, err := h.get(ctx)
	if err != nil && ctx.Err() == nil {
		f.warnOnce(fmt.Sprintf("%s: %v", file.path, err))
	}
	if err != nil {
		return credential{}, false
	}
	c.from = file.path
	return c, !c.empty()
}

// warnOnce passes a warning on, the first time. Callers hold f.mu.
func (f *credentialFiles) warnOnce(msg string) {
	if !f.warned[msg] {
		f.warned[msg] = true
		f.warn(msg)
	}
}
