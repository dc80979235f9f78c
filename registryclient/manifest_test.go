package registryclient

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

const aManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}`

func TestResolveIsOneHead(t *testing.T) {
	f := newFake(t)
	want := f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	r := f.repository(t, nil)
	for _, ref := range []oci.Reference{{Tag: "v1"}, {Digest: want.Digest}} {
		got, err := r.Resolve(context.Background(), ref)
		if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if n, heads := f.requests(""), f.requests("HEAD"); n != 2 || heads != 2 {
		t.Fatalf("%d requests, %d of them HEAD", n, heads)
	}
	_, err := r.Resolve(context.Background(), oci.Reference{Tag: "v2"})
	wantClass(t, err, content.ErrNotFound)
}

func TestResolveByGetWhereHeadTellsLittle(t *testing.T) {
	cases := map[string]func(w http.ResponseWriter, m manifestBytes){
		"405":       func(w http.ResponseWriter, _ manifestBytes) { w.WriteHeader(405) },
		"no digest": func(w http.ResponseWriter, m manifestBytes) { w.Header().Set("Content-Type", m.desc.MediaType) },
		"no type": func(w http.ResponseWriter, m manifestBytes) {
			w.Header().Set("Docker-Content-Digest", m.desc.Digest.String())
			w.Header().Set("Content-Length", "5")
		},
		"malformed digest": func(w http.ResponseWriter, m manifestBytes) {
			w.Header().Set("Docker-Content-Digest", "sha256:../../etc")
			w.Header().Set("Content-Type", m.desc.MediaType)
			w.Header().Set("Content-Length", "5")
		},
	}
	for name, h := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			want := f.addManifest("v1", oci.MediaTypeManifest, aManifest)
			f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if r.Method == http.MethodHead {
					h(w, f.manifests["v1"])
				} else {
					w.Header().Set("Content-Type", want.MediaType)
					fmt.Fprint(w, aManifest) // no digest either
				}
				return true
			}
			got, err := f.repository(t, nil).Resolve(context.Background(), oci.Reference{Tag: "v1"})
			if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}

func TestBadManifests(t *testing.T) {
	big := strings.Repeat(" ", oci.MaxManifestSize+1)
	cases := map[string]struct {
		class           error
		mediaType, body string
		digest          string
	}{
		"schema 1":             {content.ErrUnsupported, "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, ""},
		"schema 1 in disguise": {content.ErrUnsupported, "application/json", `{"schemaVersion":1,"fsLayers":[]}`, ""},
		"unknown type":         {content.ErrUnsupported, "application/vnd.example", `{}`, ""},
		"html":                 {content.ErrUnsupported, "text/html", `<html>log in</html>`, ""},
		"not json":             {content.ErrCorrupt, oci.MediaTypeManifest, `<html>`, ""},
		"contradiction":        {content.ErrCorrupt, oci.MediaTypeIndex, aManifest, ""},
		"wrong digest":         {content.ErrCorrupt, oci.MediaTypeManifest, aManifest, oci.DigestBytes(nil).String()},
		"too large":            {content.ErrUnsupported, oci.MediaTypeManifest, big, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if r.Method == http.MethodHead {
					w.WriteHeader(405)
					return true
				}
				w.Header().Set("Content-Type", c.mediaType)
				if c.digest != "" {
					w.Header().Set("Docker-Content-Digest", c.digest)
				}
				fmt.Fprint(w, c.body)
				return true
			}
			r := f.repository(t, nil)
			_, err := r.Resolve(context.Background(), oci.Reference{Tag: "v1"})
			wantClass(t, err, c.class)
			_, _, err = r.FetchManifest(context.Background(), oci.Reference{Tag: "v1"})
			wantClass(t, err, c.class)
		})
	}
}

func TestOversizeManifestIsRefusedBeforeItIsRead(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Content-Type", oci.MediaTypeManifest)
		w.Header().Set("Content-Length", fmt.Sprint(64<<20))
		w.WriteHeader(200)
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return true
			}
		}
		return true
	}
	r := f.repository(t, nil)
	_, _, err := r.FetchManifest(context.Background(), oci.Reference{Tag: "v1"})
	wantClass(t, err, content.ErrUnsupported)
	if got := r.client.Stats().BytesIn; got != 0 {
		t.Fatalf("%d bytes were read", got)
	}
}

func TestManifestByDigestIsVerified(t *testing.T) {
	f := newFake(t)
	want := f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	other := oci.DigestBytes([]byte("other"))
	f.manifests[other.String()] = f.manifests["v1"]
	r := f.repository(t, nil)
	_, err := r.Resolve(context.Background(), oci.Reference{Digest: other})
	wantClass(t, err, content.ErrCorrupt)
	_, _, err = r.FetchManifest(context.Background(), oci.Reference{Digest: other})
	wantClass(t, err, content.ErrCorrupt)
	wrongSize := want
	wrongSize.Size++
	_, err = r.Fetch(context.Background(), wrongSize)
	wantClass(t, err, content.ErrCorrupt)
}

func TestManifestSha512(t *testing.T) {
	f := newFake(t)
	f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	d := oci.SHA512.FromString(aManifest)
	f.manifests[d.String()] = f.manifests["v1"] // the header names it by sha256
	got, err := f.repository(t, nil).Resolve(context.Background(), oci.Reference{Digest: d})
	if err != nil || got.Digest != d {
		t.Fatalf("%v, %v", got.Digest, err)
	}
}

func TestManifestSurvives(t *testing.T) {
	cases := map[string]func(w http.ResponseWriter){
		"truncated": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(aManifest[:40]))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"corrupt once": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", oci.MediaTypeManifest)
			fmt.Fprint(w, strings.Replace(aManifest, "layers", "lawyer", 1))
		},
		"503":          func(w http.ResponseWriter) { w.WriteHeader(503) },
		"reset before": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	for name, h := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			desc := f.addManifest("v1", oci.MediaTypeManifest, aManifest)
			f.hook = func(w http.ResponseWriter, _ *http.Request, n int) bool {
				if n == 1 {
					h(w)
				}
				return n == 1
			}
			rc, err := f.repository(t, nil).Fetch(context.Background(), desc)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(rc); err != nil || string(got) != aManifest {
				t.Fatalf("%q, %v", got, err)
			}
		})
	}
}

func TestAcceptedTypes(t *testing.T) {
	f := newFake(t)
	f.addManifest("x", "application/vnd.example+json", `{}`)
	r := f.repository(t, nil)
	for _, accept := range []string{"application/vnd.example+json", "*/*"} {
		if _, _, err := r.FetchManifest(context.Background(), oci.Reference{Tag: "x"}, accept); err != nil {
			t.Errorf("accept %s: %v", accept, err)
		}
	}
	_, _, err := r.FetchManifest(context.Background(), oci.Reference{Tag: "x"}, oci.MediaTypeIndex)
	wantClass(t, err, content.ErrUnsupported)
}

func tagsOf(r *Repository) (tags []string, err error) {
	for t, e := range r.Tags(context.Background()) {
		if e != nil {
			return tags, e
		}
		tags = append(tags, t)
	}
	return tags, nil
}

func TestTags(t *testing.T) {
	var second *fake
	link := map[string]func(f *fake) string{
		"relative":      func(*fake) string { return `</v2/team/app/tags/list?n=2&last=b>; rel="next"` },
		"path only":     func(*fake) string { return `<?last=b>; rel=next` },
		"absolute":      func(f *fake) string { return `<` + f.url.String() + `/v2/team/app/tags/list?last=b>; rel="next"` },
		"other host":    func(*fake) string { return `<` + second.url.String() + `/more?last=b>; rel="next"` },
		"several links": func(*fake) string { return `</x>; rel="prev", <?last=b>; rel="next"` },
	}
	for name, l := range link {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			second = newFake(t)
			serve := func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if r.URL.Query().Get("last") == "" {
					w.Header().Set("Link", l(f))
					fmt.Fprint(w, `{"name":"team/app","tags":["a","b"]}`)
				} else {
					fmt.Fprint(w, `{"name":"team/app","tags":["c"]}`)
				}
				return true
			}
			f.hook, second.hook = serve, serve
			got, err := tagsOf(f.repository(t, nil))
			if err != nil || strings.Join(got, "") != "abc" {
				t.Fatalf("%q, %v", got, err)
			}
		})
	}
}

func TestTagsInACircle(t *testing.T) {
	for name, next := range map[string]string{"itself": "", "the second": "?last=x", "each other": "?last=y"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				target := next
				switch {
				case target == "" || r.URL.RawQuery == "last=x":
					target = "?" + r.URL.RawQuery
				case r.URL.RawQuery == "last=y":
					target = "?last=z"
				}
				w.Header().Set("Link", "<"+target+`>; rel="next"`)
				fmt.Fprint(w, `{"tags":["a"]}`)
				return true
			}
			_, err := tagsOf(f.repository(t, nil))
			wantClass(t, err, content.ErrUnavailable)
			if n := f.requests(""); n > 3 {
				t.Fatalf("%d requests", n)
			}
		})
	}
}

func TestTagsEarlyEndAndAbsentRepository(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n > 1 {
			notFound(w, "NAME_UNKNOWN")
			return true
		}
		w.Header().Set("Link", `<?last=b>; rel="next"`)
		fmt.Fprint(w, `{"tags":["a","b"]}`)
		return true
	}
	r := f.repository(t, nil)
	for range r.Tags(context.Background()) {
		break
	}
	if f.requests("") != 1 {
		t.Fatal("a page was asked for that nobody wanted")
	}
	_, err := tagsOf(r)
	wantClass(t, err, content.ErrNotFound)
}

func FuzzNextLink(f *testing.F) {
	f.Add(`</v2/a/tags/list?last=b>; rel="next"`)
	for _, s := range []string{
		`<x>; rel=prev, <y>; title="<z>"; rel="next"`,
		`<https://r.test/v2/a/tags/list?n=50&last=v1.2>; rel=next`,
		`</v2/_catalog?last=a%2Fb&n=100>;rel="next"`,
		`<?last=b>; REL="prev next"`, `<>; rel="next"`, `<a>`, `rel="next"`, `<a; rel="next"`, `<a>; rel="nextish"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !strings.Contains(strings.ToLower(s), "next") && nextLink([]string{s}) != "" {
			t.Fatalf("%q has a next link", s)
		}
		const target = "/v2/a/tags/list?last=b"
		if got := nextLink([]string{`<x>; rel="prev"`, "<" + target + `>; rel="next", <` + s}); got != target {
			t.Fatalf("a link that follows the next one changes it: %q, %q", got, s)
		}
		if got := nextLink([]string{s}); got != "" && (!strings.Contains(s, "<"+got+">") || strings.Contains(got, ">")) {
			t.Fatalf("%q gives %q", s, got)
		}
	})
}

func TestATagsListIsAskedForTwice(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		_, _ = io.WriteString(w, `{"name":"team/app","tags":["v1","v2"]}`[:10+28*(n/2)])
		return true
	}
	var tags []string
	for tag, err := range f.repository(t, nil).Tags(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	if !slices.Equal(tags, []string{"v1", "v2"}) || f.requests("") != 2 {
		t.Errorf("%q after %d requests", tags, f.requests(""))
	}
}
