package registryserver

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"dist.example/oci"
)

// Kind says what a path of the registry's API is about.
type Kind string

// The kinds of paths that distribution-spec knows.
const (
	KindBase      Kind = "base"      // /v2/
	KindManifest  Kind = "manifest"  // /v2/<name>/manifests/<reference>
	KindBlob      Kind = "blob"      // /v2/<name>/blobs/<digest>
	KindUploads   Kind = "uploads"   // /v2/<name>/blobs/uploads/
	KindUpload    Kind = "upload"    // /v2/<name>/blobs/uploads/<session>
	KindTags      Kind = "tags"      // /v2/<name>/tags/list
	KindReferrers Kind = "referrers" // /v2/<name>/referrers/<digest>
	KindCatalog   Kind = "catalog"   // /v2/_catalog, which is distribution's own
	KindOther     Kind = "other"
)

// route is a parsed path. Of tag, digest and session at most one is set; all of
// them are well formed.
type route struct {
	kind    Kind
	name    string // repository path
	tag     string
	digest  oci.Digest
	session string
}

const maxName = 255

// The grammar of distribution-spec, compiled by the first request: a process that
// serves nothing should not pay for it.
var (
	namePattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	})
	tagPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	})
)

// KindOf says what an unescaped URL path is about; it need not be well formed
// otherwise.
func KindOf(path string) Kind {
	k, _, _ := split(path)
	return k
}

// split takes a path apart from its end, since names may have any number of
// components, and those any word.
func split(path string) (k Kind, name, last string) {
	if path == "/v2/" || path == "/v2" {
		return KindBase, "", ""
	}
	if path == "/v2/_catalog" {
		return KindCatalog, "", ""
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return KindOther, "", ""
	}
	rest, last = cutLast(rest)
	name, word := cutLast(rest)
	switch {
	case word == "tags" && last == "list":
		return KindTags, name, ""
	case word == "blobs" && last == "uploads":
		return KindUploads, name, ""
	case word == "manifests" && last != "":
		return KindManifest, name, last
	case word == "referrers" && last != "":
		return KindReferrers, name, last
	case word == "blobs" && last != "":
		return KindBlob, name, last
	case word == "uploads" && strings.HasSuffix(name, "/blobs"):
		if name = strings.TrimSuffix(name, "/blobs"); last == "" {
			return KindUploads, name, ""
		}
		return KindUpload, name, last
	}
	return KindOther, "", ""
}

func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

func parseRoute(path string) (route, error) {
	k, name, last := split(path)
	at := route{kind: k, name: name}
	switch k {
	case KindBase, KindCatalog:
		return at, nil
	case KindOther:
		return at, refuse(http.StatusNotFound, codeUnsupported, "no such path in the registry API")
	}
	if !validName(name) {
		return at, refuse(http.StatusBadRequest, codeNameInvalid, "repository name %.300q is malformed", name)
	}
	return at, at.parseLast(last)
}

// validName says whether s is a repository path.
func validName(s string) bool { return len(s) <= maxName && namePattern().MatchString(s) }

// parseLast reads the last component of the path.
func (at *route) parseLast(last string) error {
	switch at.kind {
	case KindManifest:
		if tagPattern().MatchString(last) {
			at.tag = last
			return nil
		}
		if !strings.Contains(last, ":") {
			return refuse(http.StatusNotFound, codeManifestUnknown, "%.300q is neither a tag nor a digest", last)
		}
		return at.parseDigest(last)
	case KindBlob, KindReferrers:
		return at.parseDigest(last)
	case KindUpload:
		at.session = last
		if !ownsSession(at.name, last) {
			return refuse(http.StatusNotFound, codeUploadUnknown, "no upload session %.80q in %s", last, at.name)
		}
	}
	return nil
}

func (at *route) parseDigest(s string) error {
	d, err := oci.ParseDigest(s)
	if err != nil {
		return refuse(http.StatusBadRequest, codeDigestInvalid, "%.300q is no digest of sha256 or sha512", s)
	}
	at.digest = d
	return nil
}

// allowed is the Allow header for methods.
func allowed(methods map[string]handler) string {
	return strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
}

// RepositoryOf is the repository path in an unescaped URL path, "" when it has
// none. It need not be well formed.
func RepositoryOf(path string) string {
	_, name, _ := split(path)
	return name
}
