package registryclient

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
)

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

func readAuthFile(path string) (authFile, error) {
	data, err := fsys.ReadCapped(path, maxConfigBytes)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("auth file %s: %w: %w", path, content.ErrNotFound, fs.ErrNotExist)
		}
		return authFile{}, err
	}
	return parseAuthFile(path, data)
}

// parseAuthFile reads data, the content of the file at path; nothing at all is an
// empty file.
func parseAuthFile(path string, data []byte) (authFile, error) {
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

// helpers are the helpers for key, in the order in which they are asked: that of
// the key, for the path of a host that of the host, then the store. A helper
// without a name says that the file itself is to be used. marked says whether the
// file has an entry for key: helpers know nothing of paths, so that they are asked
// for no other.
func (a authFile) helpers(key, scheme string, marked bool) []helper {
	host, _, isPath := strings.Cut(key, "/")
	if isPath && !marked {
		host = key
	}
	entry, _ := find(a.Auths, key, scheme)
	var all []helper
	for _, k := range []string{key, host} {
		if k, ok := find(a.CredHelpers, k, scheme); ok {
			h := helper{a.CredHelpers[k], k}
			if h.name == "" {
				return nil
			}
			if normal, _ := normalKey(k, scheme); normal != key {
				h.key = storeKey(key, entry)
			}
			all = append(all, h)
			break
		}
	}
	if a.CredsStore != "" && (!isPath || marked) {
		all = append(all, helper{a.CredsStore, storeKey(key, entry)})
	}
	return all
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
	if c.username == tokenUser {
		if c.identityToken == "" {
			c.identityToken = c.password
		}
		c.username, c.password = "", ""
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

// entry is the JSON that a file holds c as.
func (c credential) entry() ([]byte, error) {
	e := struct {
		Auth          string `json:"auth"`
		IdentityToken string `json:"identitytoken,omitempty"`
	}{IdentityToken: c.identityToken}
	user, password := c.username, c.password
	if c.identityToken != "" {
		user, password = tokenUser, ""
	}
	e.Auth = base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return json.Marshal(e)
}

// entryKeys are the keys that an entry for key has in the file: all that stand for
// it already, else a new one.
func (a authFile) entryKeys(key, scheme string) []string {
	if found := aliases(a.Auths, key, scheme); found != nil {
		return found
	}
	return []string{newKey(a.path, key)}
}

// answers says whether a look-up of one of keys could end at the file.
func (a authFile) answers(keys []string, scheme string) bool {
	if a.CredsStore != "" {
		return true
	}
	for _, key := range keys {
		_, entry := find(a.Auths, key, scheme)
		_, helper := find(a.CredHelpers, key, scheme)
		if entry || helper {
			return true
		}
	}
	return false
}
