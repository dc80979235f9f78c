package registryclient

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"dist.example/content"
)

// hostsFile is the part of containerd's hosts.toml that is understood; what
// else a file says is left alone.
type hostsFile struct {
	Server string `toml:"server"`
	hostEntry
	Host map[string]hostEntry `toml:"host"`
}

type hostEntry struct {
	Capabilities []string       `toml:"capabilities"`
	CA           any            `toml:"ca"`
	Client       any            `toml:"client"`
	SkipVerify   bool           `toml:"skip_verify"`
	Header       map[string]any `toml:"header"`
	OverridePath bool           `toml:"override_path"`
	DialTimeout  string         `toml:"dial_timeout"`
	Proxy        string         `toml:"proxy"`
}

// parseHosts reads a hosts.toml. Relative files in it lie in dir; own is the
// registry itself, which comes last unless the file names another server.
func parseHosts(data []byte, dir string, own hostSpec) ([]hostSpec, error) {
	var f hostsFile
	meta, err := toml.Decode(string(data), &f)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", content.ErrInvalid, printable(err.Error(), 200))
	}
	var specs []hostSpec
	for _, name := range hostOrder(meta) {
		s, err := f.Host[name].spec(name, dir, canPull|canResolve)
		if err != nil {
			return nil, err
		}
		specs = append(specs, s)
	}
	server := own
	if f.Server != "" {
		if server, err = f.spec(f.Server, dir, own.caps); err != nil {
			return nil, err
		}
	} else if err := f.apply(&server, dir); err != nil {
		return nil, err
	}
	return append(specs, server), nil
}

// hostOrder lists the keys below [host] as they stand in the file: mirrors are
// asked in that order, and a map has none.
func hostOrder(meta toml.MetaData) []string {
	var names []string
	seen := map[string]bool{}
	for _, key := range meta.Keys() {
		if len(key) >= 2 && key[0] == "host" && !seen[key[1]] {
			seen[key[1]] = true
			names = append(names, key[1])
		}
	}
	return names
}

// spec is the entry of a host. A host that lists no capabilities gets those of
// deflt: a mirror has to be told that it takes pushes.
func (h hostEntry) spec(name, dir string, deflt capability) (hostSpec, error) {
	if !strings.Contains(name, "://") {
		scheme := "https://"
		if isLoopback(hostname(strings.SplitN(name, "/", 2)[0])) {
			scheme = "http://"
		}
		name = scheme + name
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return hostSpec{}, fmt.Errorf("host %q: %w: want http:// or https://, a host and perhaps a path", withoutSecrets(name), content.ErrInvalid)
	}
	s := hostSpec{url: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, caps: deflt}
	return s, h.apply(&s, dir)
}

// apply lays the entry's settings over s.
func (h hostEntry) apply(s *hostSpec, dir string) error {
	if err := h.applyCapabilities(s); err != nil {
		return err
	}
	ca, err := fileList(h.CA, dir)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	if s.client, err = keyPairs(h.Client, dir); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if s.header, err = headers(h.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if h.DialTimeout != "" {
		if s.dialTimeout, err = time.ParseDuration(h.DialTimeout); err != nil || s.dialTimeout < 0 {
			return fmt.Errorf("dial_timeout %q: %w", printable(h.DialTimeout, 40), content.ErrInvalid)
		}
	}
	if h.Proxy != "" {
		if s.proxy, err = parseProxy(h.Proxy); err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
	}
	s.ca, s.skipVerify, s.overridePath = ca, h.SkipVerify, h.OverridePath
	return nil
}

func (h hostEntry) applyCapabilities(s *hostSpec) error {
	if len(h.Capabilities) == 0 {
		return nil
	}
	s.caps = 0
	for _, name := range h.Capabilities {
		switch name {
		case "pull":
			s.caps |= canPull
		case "resolve":
			s.caps |= canResolve
		case "push":
			s.caps |= canPush
		case "referrers": // asked of whoever can pull
		default:
			return fmt.Errorf("capability %q: %w: want pull, resolve or push", printable(name, 40), content.ErrInvalid)
		}
	}
	return nil
}

// textList reads "text" or ["text", …].
func textList(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var texts []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("%w: want a text or a list of texts", content.ErrInvalid)
			}
			texts = append(texts, s)
		}
		return texts, nil
	}
	return nil, fmt.Errorf("%w: want a text or a list of texts", content.ErrInvalid)
}

// fileList is textList for files, relative ones to dir.
func fileList(v any, dir string) ([]string, error) {
	files, err := textList(v)
	for i, f := range files {
		if files[i], err = fileIn(dir, f); err != nil {
			return nil, err
		}
	}
	return files, err
}

func fileIn(dir, name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("%w: a file without a name", content.ErrInvalid)
	case filepath.IsAbs(name):
		return name, nil
	}
	return filepath.Join(dir, name), nil
}

// keyPairs reads "file", ["file", …] or [["cert", "key"], …]. A file without a
// key, or with "" for it, holds both.
func keyPairs(v any, dir string) ([][2]string, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var pairs [][2]string
	for _, e := range list {
		names, err := textList(e)
		if len(names) == 2 && names[1] == "" {
			names = names[:1]
		}
		if err != nil || len(names) == 0 || len(names) > 2 {
			return nil, fmt.Errorf("%w: want a file or pairs of certificate and key", content.ErrInvalid)
		}
		var pair [2]string
		for i := range pair {
			if pair[i], err = fileIn(dir, names[min(i, len(names)-1)]); err != nil {
				return nil, err
			}
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

func headers(m map[string]any) (http.Header, error) {
	h := http.Header{}
	for name, v := range m {
		values, err := textList(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", printable(name, 40), err)
		}
		if !isToken(name) || slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "\r\n\x00") }) {
			return nil, fmt.Errorf("%s: %w: not a header", printable(name, 40), content.ErrInvalid)
		}
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h, nil
}

// isToken says whether s can be a header's name.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}
