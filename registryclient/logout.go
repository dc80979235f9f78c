package registryclient

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Logout forgets the credential for scope, HOST[:PORT][/PATH], in every file and
// helper that requests would find it in, and tells where it was. Where AuthFile is
// set, that file alone counts. Nothing is sent to the registry. Credentials for
// paths below scope stay, with a warning.
//
// Errors: ErrNotFound when there was none; ErrInvalid; ErrUnavailable for helpers
// that fail; those of writing a file. What was found before an error is forgotten
// and told.
func (c *Client) Logout(ctx context.Context, scope string) ([]Kept, error) {
	name, _, err := parseScope(scope)
	if err != nil {
		return nil, err
	}
	files, err := c.creds.all()
	if err != nil {
		return nil, err
	}
	var gone []Kept
	var errs []error
	for _, file := range files {
		where, err := c.creds.forget(ctx, file, name)
		gone = append(gone, where...)
		errs = append(errs, err)
	}
	c.creds.reread()
	c.forgetGrants()
	err = errors.Join(errs...)
	if err == nil && len(gone) == 0 {
		err = fmt.Errorf("credentials for %s: %w", name.Name(), content.ErrNotFound)
	}
	return gone, err
}

// all are the files that a logout looks into.
func (f *credentialFiles) all() ([]authFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = false
	f.load()
	if f.explicit != "" && f.err == nil {
		return f.files[:1], nil
	}
	return f.files, f.err
}

// forget takes the credential out of one file and the helpers that the file has
// for it.
func (f *credentialFiles) forget(ctx context.Context, file authFile, name oci.Reference) (gone []Kept, err error) {
	var keys []string
	var helpers []helper
	for _, scheme := range []string{"https", "http"} {
		key := credentialKeys(&url.URL{Scheme: scheme, Host: dialHost(name.Registry)}, name.Repository)[0]
		found := aliases(file.Auths, key, scheme)
		keys = append(keys, found...)
		helpers = append(helpers, file.helpers(key, scheme, found != nil)...)
		f.warnOfPaths(file, key, scheme)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	seen := map[helper]bool{}
	for _, h := range helpers {
		if seen[h] {
			continue
		}
		seen[h] = true
		had, err := f.erase(ctx, file, h)
		if err != nil {
			return gone, fmt.Errorf("%s: %w", file.path, err) // its entry stays, so that it is found again
		}
		if had {
			gone = append(gone, Kept{h.key, file.path, h.name})
		}
	}
	if len(keys) == 0 {
		return gone, nil
	}
	err = f.rewrite(ctx, file.path, func(data []byte) ([]byte, error) { return dropAuths(data, keys) })
	for _, key := range keys {
		if err == nil && file.Auths[key] != (authEntry{}) {
			gone = append(gone, Kept{Key: key, File: file.path})
		}
	}
	return gone, err
}

// erase lets a helper forget, and says whether it had something. One that is
// missing is worth a warning: nobody finds anything through it.
func (f *credentialFiles) erase(ctx context.Context, file authFile, h helper) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := h.get(ctx)
	if errors.Is(err, errHelperMissing) {
		f.warnOnce(fmt.Sprintf("%s: %v", file.path, err))
		return false, nil
	}
	if err != nil || c.empty() {
		return false, err
	}
	return true, h.erase(ctx)
}

// warnOfPaths tells what a logout from key leaves.
func (f *credentialFiles) warnOfPaths(file authFile, key, scheme string) {
	for k := range file.Auths {
		if normal, _ := normalKey(k, scheme); strings.HasPrefix(normal, key+"/") {
			f.mu.Lock()
			f.warnOnce(fmt.Sprintf("%s still has credentials for %s", file.path, printable(k, 200)))
			f.mu.Unlock()
		}
	}
}
