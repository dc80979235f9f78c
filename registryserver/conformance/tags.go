package conformance

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"dist.example/oci"
)

func tagChecks() []check {
	return []check{
		{"list", tagList},
		{"order", tagOrder},
		{"n", tagCount},
		{"n-is-zero", tagsNone},
		{"last", tagLast},
		{"n-and-last", tagCountAndLast},
		{"link", tagLink},
		{"n-malformed", tagCountMalformed},
		{"untagged", untagged},
		{"unknown-repository", tagsUnknown},
	}
}

// byBytes are tags in the order of their bytes.
var byBytes = []string{"1", "10", "2", "B", "_x", "a", "latest", "v1", "v10", "v2"}

// tagged gives the repository the tags byBytes, in another order. They are of images
// and of indexes in turn, which a store may list one after the other.
func (t *tester) tagged() {
	t.Helper()
	image, index := t.json(t.image("one")), t.json(indexOf())
	for i := range byBytes {
		at := (i*7 + 3) % len(byBytes)
		mediaType, data := oci.MediaTypeManifest, image
		if at%2 == 0 {
			mediaType, data = oci.MediaTypeIndex, index
		}
		t.want(t.put(byBytes[at], mediaType, data), http.StatusCreated)
	}
}

// list is a page of tags, and where the next one is, "" for none.
func (t *tester) list(where string) ([]string, string) {
	t.Helper()
	a := t.want(t.do("GET", where, nil), http.StatusOK)
	t.wantHeader(a, "Content-Type", oci.MediaTypeJSON)
	var doc struct {
		Name string
		Tags []string
	}
	if err := json.Unmarshal(a.body, &doc); err != nil || doc.Name != t.repo || doc.Tags == nil {
		t.Fatalf("%s: %.300s: %v", a.at, a.body, err)
	}
	return doc.Tags, t.next(a)
}

var nextPattern = regexp.MustCompile(`^<([^<>]+)>; rel="next"$`)

// next reads a Link (RFC 8288).
func (t *tester) next(a answer) string {
	t.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	found := nextPattern.FindStringSubmatch(link)
	if found == nil {
		t.Fatalf("%s: Link is %q", a.at, link)
	}
	u, err := a.at.Parse(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// lists asks for tags and compares them, and whether there are more.
func (t *tester) lists(query string, want []string, more bool) {
	t.Helper()
	got, next := t.list(t.path("/tags/list" + query))
	if !slices.Equal(got, want) || (next != "") != more {
		t.Errorf("%q gives %q and leads to %q", query, got, next)
	}
}

func tagList(t *tester) {
	t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	t.lists("", []string{"v1"}, false)
	t.want(t.do("HEAD", t.path("/tags/list"), nil), http.StatusOK)
}

func tagOrder(t *tester) { t.tagged(); t.lists("", byBytes, false) }

func tagCount(t *tester) {
	t.tagged()
	t.lists("?n=3", byBytes[:3], true)
	t.lists("?n=10", byBytes, false)
	t.lists("?n=1000000", byBytes, false)
}

func tagsNone(t *tester) {
	t.tagged()
	t.lists("?n=0", nil, false)
	t.lists("?n=0&last=B", nil, false)
}

func tagLast(t *tester) {
	t.tagged()
	t.lists("?last=B", byBytes[4:], false)
	t.lists("?last=C", byBytes[4:], false)
	t.lists("?last=zzz", nil, false)
}

func tagCountAndLast(t *tester) {
	t.tagged()
	t.lists("?n=2&last=B", byBytes[4:6], true)
	t.lists("?n=2&last=v1", byBytes[8:], false)
}

func tagLink(t *tester) {
	t.tagged()
	var got []string
	for where := t.path("/tags/list?n=3"); where != ""; {
		page, next := t.list(where)
		got, where = append(got, page...), next
		if u, err := url.Parse(next); err != nil || next != "" && u.Query().Get("last") != page[len(page)-1] {
			t.Fatalf("after %q comes %s", page, next)
		}
	}
	if !slices.Equal(got, byBytes) {
		t.Errorf("the pages have %q", got)
	}
}

func tagCountMalformed(t *tester) {
	t.tagged()
	for _, n := range []string{"x", "-1", "", "1.5"} {
		t.want(t.do("GET", t.path("/tags/list?n="+n), nil), http.StatusBadRequest)
	}
}

func tagsUnknown(t *tester) {
	t.want(t.do("GET", t.path("/tags/list"), nil), http.StatusNotFound, "NAME_UNKNOWN")
}

// A repository that has no tags yet, or none any more, has an empty list.
func untagged(t *tester) {
	t.push(t.image("one"), oci.MediaTypeManifest)
	t.lists("", nil, false)
	t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	t.want(t.do("DELETE", t.path("/manifests/v1"), nil), http.StatusAccepted)
	t.lists("", nil, false)
	t.lists("?n=3&last=v1", nil, false)
}
