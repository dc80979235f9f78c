package pages_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/oci"
	"dist.example/registryserver/pages"
)

// rig is a store with its pages.
type rig struct {
	t   *testing.T
	lib *memory.Store
	o   pages.Options
	h   http.Handler
}

func newRig(t *testing.T, o pages.Options) *rig {
	r := &rig{t: t, lib: memory.New(), o: o}
	r.reopen()
	return r
}

// reopen forgets the list of names.
func (r *rig) reopen() { r.h = pages.New(r.lib, r.o) }

// blob stores data.
func (r *rig) blob(mediaType string, data []byte) oci.Descriptor {
	r.t.Helper()
	return contenttest.Put(r.t, r.lib, "", mediaType, data)
}

// document stores v.
func (r *rig) document(mediaType string, v any) oci.Descriptor {
	r.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.blob(mediaType, data)
}

// image stores an image of one layer for linux/arch.
func (r *rig) image(seed, arch string, change ...func(*oci.Manifest, *oci.Image)) oci.Descriptor {
	r.t.Helper()
	layer := r.blob(oci.MediaTypeLayer, []byte("layer of "+seed+" for "+arch))
	c := oci.Image{Platform: oci.Platform{OS: "linux", Architecture: arch}, RootFS: oci.RootFS{Type: "layers", DiffIDs: []oci.Digest{layer.Digest}}}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Layers: []oci.Descriptor{layer}}
	m.SchemaVersion = 2
	for _, f := range change {
		f(&m, &c)
	}
	m.Config = r.document(oci.MediaTypeImageConfig, c)
	return r.document(oci.MediaTypeManifest, m)
}

// index stores an index of images for linux, one for each of archs. The image for an
// arch that begins with "no " is not stored.
func (r *rig) index(seed string, archs ...string) (oci.Descriptor, []oci.Descriptor) {
	r.t.Helper()
	x := oci.Index{MediaType: oci.MediaTypeIndex}
	x.SchemaVersion = 2
	for _, arch := range archs {
		arch, absent := strings.CutPrefix(arch, "no ")
		d := oci.Describe(oci.MediaTypeManifest, []byte(seed+arch))
		if !absent {
			d = r.image(seed, arch)
		}
		d.Platform = &oci.Platform{OS: "linux", Architecture: arch}
		x.Manifests = append(x.Manifests, d)
	}
	return r.document(oci.MediaTypeIndex, x), x.Manifests
}

// artifact stores one file of that type, about subject if it is not nil.
func (r *rig) artifact(artifactType, title string, subject *oci.Descriptor, annotations map[string]string) oci.Descriptor {
	r.t.Helper()
	file := r.blob("text/plain", []byte("content of "+title))
	file.Annotations = map[string]string{oci.AnnotationTitle: title}
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: artifactType, Config: r.blob(oci.MediaTypeEmpty, []byte("{}")),
		Layers: []oci.Descriptor{file}, Annotations: annotations,
	}
	if subject != nil {
		m.Subject = &oci.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	}
	m.SchemaVersion = 2
	return r.document(oci.MediaTypeManifest, m)
}

// name gives desc names.
func (r *rig) name(desc oci.Descriptor, names ...string) {
	r.t.Helper()
	var changes []content.NameChange
	for _, n := range names {
		ref, err := oci.ParseReference(n)
		if err != nil {
			r.t.Fatal(err)
		}
		changes = append(changes, content.NameChange{Reference: ref, Target: desc.Digest})
	}
	if err := r.lib.SetNames(r.t.Context(), changes...); err != nil {
		r.t.Fatal(err)
	}
	r.reopen()
}

// get asks for a page and holds it to what is true of all.
func (r *rig) get(path string, header ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Host = "registry.example:5000"
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	r.h.ServeHTTP(rec, req)
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") && rec.Body.Len() > 0 {
		checkPage(r.t, path, rec)
	}
	return rec
}

// page asks for a page that has to be there.
func (r *rig) page(path string, header ...string) string {
	r.t.Helper()
	rec := r.get(path, header...)
	if rec.Code != http.StatusOK {
		r.t.Fatalf("%s: %d\n%s", path, rec.Code, rec.Body)
	}
	return strings.ReplaceAll(rec.Body.String(), "&#43;", "+") // as a browser reads it
}

// has checks that a page has all of want, in that order.
func (r *rig) has(page string, want ...string) {
	r.t.Helper()
	rest := page
	for _, w := range want {
		i := strings.Index(rest, w)
		if i < 0 {
			r.t.Fatalf("no %q here or not after what is before it:\n%s", w, page)
		}
		rest = rest[i+len(w):]
	}
}

// lacks checks that a page has none of these.
func (r *rig) lacks(page string, not ...string) {
	r.t.Helper()
	for _, n := range not {
		if strings.Contains(page, n) {
			r.t.Errorf("%q is in the page:\n%s", n, page)
		}
	}
}

// checkPage holds a page to what is true of all: its headers, no script, one main
// heading, elements that nest, nothing invisible, no address of another host but
// those that links lead to.
func checkPage(t *testing.T, path string, rec *httptest.ResponseRecorder) {
	t.Helper()
	body := rec.Body.Bytes()
	csp := rec.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "script") {
		t.Errorf("%s: policy %q", path, csp)
	}
	for _, h := range []string{"X-Content-Type-Options", "Referrer-Policy", "Cache-Control"} {
		if rec.Header().Get(h) == "" {
			t.Errorf("%s: no %s", path, h)
		}
	}
	for _, bad := range []string{"<script", "style=", "=\"javascript:", "ZgotmplZ", "\x00", "\u202e", "\u2066", "\u200b", " src=\"http", "<no value>"} {
		if bytes.Contains(bytes.ToLower(body), []byte(strings.ToLower(bad))) {
			t.Errorf("%s: has %q:\n%s", path, bad, body)
		}
	}
	if n := bytes.Count(body, []byte("<h1>")); n != 1 {
		t.Errorf("%s: %d main headings", path, n)
	}
	if err := nests(body); err != nil {
		t.Errorf("%s: %v\n%s", path, err, body)
	}
}

// nests checks that each element of a page that needs an end has it, in order, and
// that no id is there twice.
func nests(page []byte) error {
	void := map[string]bool{"meta": true, "link": true, "img": true, "input": true, "!doctype": true}
	var open []string
	ids := map[string]bool{}
	for rest := string(page); ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		tag, more, ok := strings.Cut(after, ">")
		if !ok {
			return fmt.Errorf("<%.40s does not end", after)
		}
		rest = more
		name, attrs, _ := strings.Cut(tag, " ")
		name = strings.ToLower(name)
		if _, id, ok := strings.Cut(" "+attrs, ` id="`); ok {
			id, _, _ = strings.Cut(id, `"`)
			if ids[id] {
				return fmt.Errorf("id %q is there twice", id)
			}
			ids[id] = true
		}
		switch {
		case void[name]:
		case strings.HasPrefix(name, "/"):
			if len(open) == 0 || open[len(open)-1] != name[1:] {
				return fmt.Errorf("<%s> ends %v", name, open)
			}
			open = open[:len(open)-1]
		default:
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%v do not end", open)
	}
	return nil
}

// tick is a time for documents.
func tick(n int) *time.Time {
	t := time.Date(2026, 3, 1, 12, n, 0, 0, time.UTC)
	return &t
}
