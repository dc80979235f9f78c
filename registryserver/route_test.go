package registryserver

import (
	"strings"
	"testing"
)

func TestPathsAreTakenApart(t *testing.T) {
	d := "sha256:" + strings.Repeat("a", 64)
	session := newSession("a/b")
	tests := []struct {
		path string
		kind Kind
		name string
		last string
	}{
		{"/v2/", KindBase, "", ""},
		{"/v2", KindBase, "", ""},
		{"/v2/a/manifests/v1", KindManifest, "a", "v1"},
		{"/v2/a/b/manifests/" + d, KindManifest, "a/b", d},
		{"/v2/manifests/manifests/v1", KindManifest, "manifests", "v1"},
		{"/v2/a/blobs/blobs/" + d, KindBlob, "a/blobs", d},
		{"/v2/a/b/blobs/" + d, KindBlob, "a/b", d},
		{"/v2/a/b/blobs/uploads/", KindUploads, "a/b", ""},
		{"/v2/a/b/blobs/uploads", KindUploads, "a/b", ""},
		{"/v2/a/b/blobs/uploads/" + session, KindUpload, "a/b", session},
		{"/v2/a/tags/list", KindTags, "a", ""},
		{"/v2/tags/list/tags/list", KindTags, "tags/list", ""},
		{"/v2/a/referrers/" + d, KindReferrers, "a", d},
	}
	for _, tt := range tests {
		at, err := parseRoute(tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		if last := at.tag + at.digest.String() + at.session; at.kind != tt.kind || at.name != tt.name || last != tt.last {
			t.Errorf("%s is %+v, want %+v", tt.path, at, tt)
		}
	}
}

func TestMalformedPathsAreRefused(t *testing.T) {
	tests := map[string]code{
		"/":                                      codeUnsupported,
		"/v1/":                                   codeUnsupported,
		"/v2/a":                                  codeUnsupported,
		"/v2/manifests/v1":                       codeNameInvalid,
		"/v2/a//b/manifests/v1":                  codeNameInvalid,
		"/v2/A/manifests/v1":                     codeNameInvalid,
		"/v2/../a/manifests/v1":                  codeNameInvalid,
		"/v2/a_/manifests/v1":                    codeNameInvalid,
		"/v2/a/manifests/-v1":                    codeManifestUnknown,
		"/v2/a/manifests/":                       codeUnsupported,
		"/v2/a/manifests/v1/":                    codeUnsupported,
		"/v2/a/tags/list/":                       codeUnsupported,
		"/v2/a/blobs/":                           codeUnsupported,
		"/v2/a/manifests/sha256:abc":             codeDigestInvalid,
		"/v2/a/blobs/latest":                     codeDigestInvalid,
		"/v2/a/blobs/md5:0123":                   codeDigestInvalid,
		"/v2/a/referrers/x":                      codeDigestInvalid,
		"/v2/a/blobs/uploads/x":                  codeUploadUnknown,
		"/v2/b/blobs/uploads/" + newSession("a"): codeUploadUnknown,
		"/v2/" + strings.Repeat("a", 256) + "/tags/list":                codeNameInvalid,
		"/v2/a/manifests/" + strings.Repeat("a", 129):                   codeManifestUnknown,
		"/v2/a/blobs/sha256:" + strings.Repeat("A", 64):                 codeDigestInvalid,
		"/v2/a/blobs/uploads/" + strings.Repeat("../", 3) + "etc/x":     codeUnsupported,
		"/v2/a/blobs/uploads/" + strings.Repeat("x", 4096) + "-0000000": codeUploadUnknown,
	}
	for path, want := range tests {
		_, err := parseRoute(path)
		if err == nil {
			t.Errorf("%.80s is taken", path)
		} else if got := explain(err).code; got != want {
			t.Errorf("%.80s gives %s, want %s", path, got, want)
		}
	}
}

func TestContentRangesAreRead(t *testing.T) {
	tests := []struct {
		in            string
		start, length int64
		ok            bool
	}{
		{"0-0", 0, 1, true},
		{"10-19", 10, 10, true},
		{"bytes 10-19/20", 10, 10, true},
		{"bytes 10-19/*", 10, 10, true},
		{"", 0, 0, false},
		{"5", 0, 0, false},
		{"9-5", 0, 0, false},
		{"-5-9", 0, 0, false},
		{"a-b", 0, 0, false},
		{"0-99999999999999999999", 0, 0, false},
	}
	for _, tt := range tests {
		start, length, ok := parseContentRange(tt.in)
		if start != tt.start || length != tt.length || ok != tt.ok {
			t.Errorf("%q is %d, %d, %v", tt.in, start, length, ok)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add("/v2/a/blobs/uploads/" + newSession("a"))
	f.Add("/v2/a/manifests/sha256:" + strings.Repeat("0", 64))
	for _, path := range []string{
		"/v2", "/v2/", "/v2//tags/list", "/v2/a/b/c/tags/list", "/v2/a/manifests/latest", "/v2/tags/list/manifests/tags", "/v2/a/blobs/uploads/",
		"/v2/blobs/uploads/blobs/uploads", "/v2/A/manifests/x", "/v2/a/manifests/../x", "/v2/a/referrers/sha256:" + strings.Repeat("0", 64), "/v1/_ping", "/v2/_catalog",
		"/v2/a/manifests/" + strings.Repeat("t", 129), "/v2/docker.io/library/a/blobs/sha512:" + strings.Repeat("a", 128),
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		at, err := parseRoute(path)
		if err != nil {
			if explain(err).status >= 500 {
				t.Errorf("%q: %v", path, err)
			}
			return
		}
		if at.kind != KindBase && at.kind != KindCatalog && !namePattern().MatchString(at.name) {
			t.Errorf("%q has the name %q", path, at.name)
		}
		if at.tag != "" && at.digest != "" {
			t.Errorf("%q is both tag and digest", path)
		}
		if at.digest != "" && at.digest.Validate() != nil {
			t.Errorf("%q has the digest %q", path, at.digest)
		}
		if k := KindOf(path); k != at.kind {
			t.Errorf("%q is %s, parsed %s", path, k, at.kind)
		}
	})
}
