package registryclient

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// registriesConf is what the files in the format of containers-registries.conf(5)
// say together: one entry for each prefix.
type registriesConf struct{ entries []registryEntry }

// registriesFile is the part of such a file that is understood. What it says
// about short names is not: a name without a host is docker.io's, always, since
// whoever came first in a list of registries could answer for it.
type registriesFile struct {
	Registry []registryEntry `toml:"registry"`
	Old      struct {
		Search   oldList `toml:"search"`
		Insecure oldList `toml:"insecure"`
		Block    oldList `toml:"block"`
	} `toml:"registries"`
}

// oldList is a list of version 1.
type oldList struct {
	Registries []string `toml:"registries"`
}

// registryEntry is a [[registry]] table: what holds for names below a prefix.
type registryEntry struct {
	Prefix             string        `toml:"prefix"`
	Location           string        `toml:"location"`
	Insecure           bool          `toml:"insecure"`
	Blocked            bool          `toml:"blocked"`
	MirrorByDigestOnly bool          `toml:"mirror-by-digest-only"`
	Mirrors            []mirrorEntry `toml:"mirror"`

	file string // that says so
}

// mirrorEntry is a [[registry.mirror]] table.
type mirrorEntry struct {
	Location       string `toml:"location"`
	Insecure       bool   `toml:"insecure"`
	PullFromMirror string `toml:"pull-from-mirror"`
}

// errVersion1 is about files of the format's first version.
var errVersion1 = errors.New("its format is version 1, which is not read: write [[registry]] tables (containers-registries.conf(5), version 2)")

// registriesConf reads the files, once. Callers hold c.mu.
func (c *Client) registriesConf() (*registriesConf, error) {
	if c.conf != nil {
		return c.conf, nil
	}
	files, needed := c.opts.RegistriesConf, true
	if files == nil {
		files, needed = environmentRegistries()
	}
	conf := &registriesConf{}
	for _, file := range files {
		data, err := fsys.ReadCapped(file, maxConfigBytes)
		if !needed && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("registries file: %w", err)
		}
		entries, err := parseRegistries(data)
		if errors.Is(err, errVersion1) {
			c.once(file, "%s is not used: %v", file, err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		conf.merge(entries, file)
	}
	c.conf = conf
	return conf, nil
}

// environmentRegistries are the files that the environment leads to, and whether
// they have to be there.
func environmentRegistries() (files []string, needed bool) {
	if file := os.Getenv("CONTAINERS_REGISTRIES_CONF"); file != "" {
		return []string{file}, true
	}
	const system = "/etc/containers/registries.conf"
	config := xdgConfig()
	user := filepath.Join(config, "containers", "registries.conf")
	if config == "" {
		return append([]string{system}, dropIns(system)...), false
	}
	if _, err := os.Stat(user); err == nil {
		return append([]string{user}, dropIns(user)...), false
	}
	return slices.Concat([]string{system}, dropIns(system), dropIns(user)), false
}

// dropIns are the *.conf in the folder beside a file, in the order of their
// names.
func dropIns(file string) (files []string) {
	entries, _ := os.ReadDir(file + ".d")
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".conf" && !e.IsDir() {
			files = append(files, filepath.Join(file+".d", e.Name()))
		}
	}
	return files
}

// merge adds the entries of a file. They replace those with the same prefix of
// files before it.
func (f *registriesConf) merge(entries []registryEntry, file string) {
	for _, e := range entries {
		e.file = file
		i := slices.IndexFunc(f.entries, func(o registryEntry) bool { return o.Prefix == e.Prefix })
		if i < 0 {
			f.entries = append(f.entries, e)
		} else {
			f.entries[i] = e
		}
	}
}

// find returns the entry with the longest prefix of ref's name, nil for none.
func (f *registriesConf) find(ref oci.Reference) *registryEntry {
	var best *registryEntry
	for i := range f.entries {
		if e := &f.entries[i]; e.covers(ref) && (best == nil || e.closer(best)) {
			best = e
		}
	}
	return best
}

// closer says whether e is more about what both cover: its prefix is longer, or
// as long and no pattern.
func (e *registryEntry) closer(o *registryEntry) bool {
	if len(e.Prefix) != len(o.Prefix) {
		return len(e.Prefix) > len(o.Prefix)
	}
	return strings.HasPrefix(o.Prefix, "*")
}

// below lists the prefixes of entries for parts of a registry.
func (f *registriesConf) below(registry string) (prefixes []string) {
	for _, e := range f.entries {
		if host, path := splitLocation(e.Prefix); path != "" && strings.EqualFold(host, registry) {
			prefixes = append(prefixes, e.Prefix)
		}
	}
	return prefixes
}

// covers says whether ref's repository lies below the entry's prefix. One that
// ends in a tag or a digest covers its whole repository; planEntry refuses it.
func (e *registryEntry) covers(ref oci.Reference) bool {
	if domain, ok := strings.CutPrefix(e.Prefix, "*"); ok {
		return strings.HasSuffix(strings.ToLower(hostname(ref.Registry)), strings.ToLower(domain))
	}
	host, path := splitLocation(e.Prefix)
	path, _ = splitIdentifier(path)
	return strings.EqualFold(host, ref.Registry) &&
		(path == "" || ref.Repository == path || strings.HasPrefix(ref.Repository, path+"/"))
}

// splitLocation is host[:port] and what follows after a slash.
func splitLocation(location string) (host, path string) {
	host, path, _ = strings.Cut(location, "/")
	return host, path
}

// splitIdentifier cuts a tag or a digest off.
func splitIdentifier(path string) (repository, identifier string) {
	if i := strings.IndexAny(path, ":@"); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// planEntry is who answers for ref according to an entry: its mirrors, then its
// location; own is the registry itself.
func (c *Client) planEntry(e *registryEntry, ref oci.Reference, own hostSpec) (*route, error) {
	rt := &route{file: e.file, key: ref.Registry + " " + e.Prefix}
	prefixHost, from := splitLocation(e.Prefix)
	if strings.HasPrefix(prefixHost, "*") {
		from = ""
	}
	if _, id := splitIdentifier(from); id != "" {
		return nil, fmt.Errorf("registry %s: %w: %s has settings for %q; those for single tags and digests are not understood", ref.Registry, content.ErrUnsupported, e.file, e.Prefix)
	}
	if e.Blocked {
		rt.blocked = fmt.Errorf("registry %s: %w: %s blocks %s", ref.Registry, content.ErrDenied, e.file, e.Prefix)
	}
	for _, m := range e.Mirrors {
		rt.specs = append(rt.specs, c.mirrorSpec(e, m, from))
	}
	if e.Location != "" {
		own = locationSpec(e.Location, from, own.caps)
		own.url.Scheme = c.scheme(own.url.Host)
	}
	own.allow(e.Insecure && !c.opts.PlainHTTP)
	rt.specs = append(rt.specs, own)
	for _, s := range rt.specs {
		if ref.Repository != "" && s.rename.of(ref.Repository) == "" {
			return nil, fmt.Errorf("registry %s: %w: %s leads %s to %s, which names no repository", ref.Registry, content.ErrInvalid, e.file, ref.Name(), s.url.Host)
		}
	}
	return rt, nil
}

func (c *Client) mirrorSpec(e *registryEntry, m mirrorEntry, from string) hostSpec {
	s := locationSpec(m.Location, from, canPull|canResolve)
	if isLoopback(s.url.Hostname()) && s.url.Port() != "443" && c.certDir(s.url.Host) == "" {
		s.url.Scheme = "http"
	}
	switch {
	case e.MirrorByDigestOnly || m.PullFromMirror == "digest-only":
		s.caps = canPull
	case m.PullFromMirror == "tag-only":
		s.tagOnly = true
	}
	s.allow(m.Insecure)
	return s
}

// locationSpec is host[:port][/path], where what lies below from in the registry
// lies below path.
func locationSpec(location, from string, caps capability) hostSpec {
	host, path := splitLocation(location)
	return hostSpec{
		url:    &url.URL{Scheme: "https", Host: dialHost(host)},
		caps:   caps,
		rename: rename{from, path},
	}
}

// allow is insecure = true: TLS with any certificate, and none where it is not
// spoken.
func (s *hostSpec) allow(insecure bool) {
	if insecure {
		s.url.Scheme, s.skipVerify, s.mayBePlain = "https", true, true
	}
}

// parseRegistries reads a file of version 2. Errors: ErrInvalid, errVersion1.
func parseRegistries(data []byte) ([]registryEntry, error) {
	var f registriesFile
	if _, err := toml.Decode(string(data), &f); err != nil {
		return nil, fmt.Errorf("%w: %s", content.ErrInvalid, printable(err.Error(), 200))
	}
	if old := slices.Concat(f.Old.Search.Registries, f.Old.Insecure.Registries, f.Old.Block.Registries); len(old) > 0 {
		if len(f.Registry) > 0 {
			return nil, fmt.Errorf("%w: lists of version 1 beside tables of version 2", content.ErrInvalid)
		}
		return nil, errVersion1
	}
	var entries []registryEntry
	for _, e := range f.Registry {
		if err := e.normalise(); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(entries, func(o registryEntry) bool { return o.Prefix == e.Prefix })
		switch {
		case i < 0:
			entries = append(entries, e)
		case entries[i].Blocked != e.Blocked || entries[i].Insecure != e.Insecure:
			return nil, fmt.Errorf("prefix %q: %w: two tables contradict each other", printable(e.Prefix, 200), content.ErrInvalid)
		}
	}
	return entries, nil
}

// normalise checks an entry and fills in its prefix.
func (e *registryEntry) normalise() error {
	var err error
	if e.Location, err = parseLocation(e.Location, false); err != nil {
		return err
	}
	if e.Prefix, err = parseLocation(e.Prefix, true); err != nil {
		return err
	}
	if e.Prefix == "" {
		e.Prefix = e.Location
	}
	if e.Location == "" && !strings.HasPrefix(e.Prefix, "*.") {
		return fmt.Errorf("prefix %q: %w: it has no location", e.Prefix, content.ErrInvalid)
	}
	for i := range e.Mirrors {
		if err := e.Mirrors[i].normalise(e.MirrorByDigestOnly); err != nil {
			return fmt.Errorf("mirror of %s: %w", e.Prefix, err)
		}
	}
	return nil
}

func (m *mirrorEntry) normalise(byDigestOnly bool) error {
	var err error
	if m.Location, err = parseLocation(m.Location, false); err != nil {
		return err
	}
	switch {
	case m.Location == "":
		return fmt.Errorf("%w: it has no location", content.ErrInvalid)
	case m.PullFromMirror != "" && byDigestOnly:
		return fmt.Errorf("%s: %w: pull-from-mirror and mirror-by-digest-only exclude each other", m.Location, content.ErrInvalid)
	}
	switch m.PullFromMirror {
	case "", "all", "digest-only", "tag-only":
		return nil
	}
	return fmt.Errorf("pull-from-mirror %q: %w: want all, digest-only or tag-only", printable(m.PullFromMirror, 40), content.ErrInvalid)
}

// parseLocation checks host[:port][/path], and drops slashes at its end. A
// prefix may also be *.domain, and end in a tag or a digest.
func parseLocation(s string, prefix bool) (string, error) {
	bad := fmt.Errorf("location %q: %w: want a host and perhaps a path, without a scheme", withoutSecrets(s), content.ErrInvalid)
	s = strings.TrimRight(s, "/")
	if s == "" {
		return "", nil
	}
	host, path := splitLocation(s)
	if domain, ok := strings.CutPrefix(host, "*."); ok && prefix {
		if path != "" || domain == "" || strings.ContainsAny(domain, "*:") {
			return "", bad
		}
		host = domain
	}
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.ContainsAny(host, "*?#@%\\ ") {
		return "", bad
	}
	if prefix {
		path, _ = splitIdentifier(path)
	}
	if path != "" && !isPath(path) {
		return "", bad
	}
	return s, nil
}

// isPath says whether s is made of what repositories' names are made of.
func isPath(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || strings.Trim(part, ".") == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return false
		}
	}
	return true
}
