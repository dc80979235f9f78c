package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

func digestOf(text string) oci.Digest { return oci.DigestBytes([]byte(text)) }

// sent are bundles that went out, the newest first, as the catalog lists them.
func sent() []blobstore.Bundle {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.Local) }
	return []blobstore.Bundle{
		{ID: 5, Name: "other", Serial: 9, Digest: digestOf("5"), Site: "ship", At: day(5)},
		{ID: 4, Name: "weekly", Serial: 40, Digest: digestOf("4"), Site: "plant", At: day(4)},
		{ID: 3, Name: "other", Serial: 8, Digest: digestOf("3"), Site: "plant", At: day(3)},
		{ID: 2, Digest: digestOf("2"), At: day(2)},
		{ID: 1, Name: "weekly", Serial: 30, Digest: digestOf("1"), Site: "plant", At: day(1)},
	}
}

func TestBundlesAreFoundByNameDigestAndTime(t *testing.T) {
	hex := digestOf("2").Encoded()
	for _, tc := range []struct {
		o    ExportOptions
		want string // ids, or a word of the error
	}{
		{ExportOptions{Since: "weekly"}, "4"},
		{ExportOptions{Since: "weekly@30"}, "1"},
		{ExportOptions{Since: "weekly@31"}, "not found"},
		{ExportOptions{Since: "weekly@x"}, "not found"},
		{ExportOptions{Since: "@30"}, "not found"},
		{ExportOptions{Since: hex[:6]}, "2"},
		{ExportOptions{Since: "sha256:" + hex}, "2"},
		{ExportOptions{Since: hex[:5]}, "not found"},
		{ExportOptions{Since: "2026-01-04", Name: "weekly"}, "1"},
		{ExportOptions{Since: "2026-01-04 12:00", Name: "weekly"}, "4 1"},
		{ExportOptions{Since: "1h"}, "2"},
		{ExportOptions{Since: "2025-12-31", Name: "weekly"}, "not found"},
		{ExportOptions{Since: "1h", Name: "nobody"}, "not found"},
		{ExportOptions{Since: "1h", Name: "other"}, "invalid"},
		{ExportOptions{Since: "nonsense"}, "not found"},
	} {
		found, err := sinceBundles(sent(), tc.o)
		var ids []string
		for _, b := range found {
			ids = append(ids, fmt.Sprint(b.ID))
		}
		got := strings.Join(ids, " ")
		if err != nil {
			got = err.Error()
		}
		if got != tc.want && (err == nil || !strings.Contains(got, tc.want)) {
			t.Errorf("%+v: %s", tc.o, got)
		}
	}
	two := []blobstore.Bundle{{ID: 1, Digest: "sha256:" + oci.Digest("aaaaaa0"+hex[7:])}, {ID: 2, Digest: "sha256:" + oci.Digest("aaaaaa1"+hex[7:])}}
	if _, err := sinceBundles(two, ExportOptions{Since: "aaaaaa"}); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("of two bundles: %v", err)
	}
}

func TestChainsEnd(t *testing.T) {
	a, b := digestOf("a"), digestOf("b")
	all := []blobstore.Bundle{{ID: 3, Digest: b, Base: a}, {ID: 2, Digest: a, Base: b}, {ID: 1, Digest: a, Base: a}}
	for from, want := range []int{2, 3, 3} {
		if got := chained(all[from:from+1], all); len(got) != want {
			t.Errorf("from %d: %+v", from, got)
		}
	}
	if got := chained([]blobstore.Bundle{{ID: 9, Digest: b, Base: digestOf("gone")}}, all); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// sender is a client with a store, and what it warned of.
func sender(t testing.TB) (*Client, *blobstore.Store, *[]string) {
	t.Helper()
	var said []string
	c := New(Options{Store: t.TempDir(), Warn: func(s string) { said = append(said, s) }})
	t.Cleanup(func() { c.Close() })
	s, err := c.Init(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, s, &said
}

// send notes a bundle as an export does.
func send(t testing.TB, c *Client, s *blobstore.Store, name, index string, b *base, reach ...string) (serial int64) {
	t.Helper()
	contents := bundle.Contents{Name: name}
	var err error
	if name != "" {
		if contents.Serial, err = nextSerial(t.Context(), s, name, false); err != nil {
			t.Fatal(err)
		}
	}
	if b != nil {
		contents.Base = b.about
	}
	out := sentBundle{contents: contents, index: digestOf(index)}
	for _, r := range reach {
		out.closure = append(out.closure, digestOf(r))
	}
	if noted, err := c.recordExport(t.Context(), s, out, ""); err != nil || !noted {
		t.Fatal(noted, err)
	}
	return contents.Serial
}

// hasOf lists what of some texts a base has.
func hasOf(b *base, of ...string) (found string) {
	for _, text := range of {
		if b.has(digestOf(text)) {
			found += text
		}
	}
	return found
}

// A delta leaves out what the bundle before reaches, and those that this is on top of.
func TestDeltasGoOnFromTheRecord(t *testing.T) {
	ctx := t.Context()
	c, s, _ := sender(t)
	if b, err := c.exportBase(ctx, s, ExportOptions{}); b != nil || err != nil {
		t.Errorf("%+v, %v", b, err)
	}
	first := send(t, c, s, "weekly", "1", nil, "a", "b")
	b, err := c.exportBase(ctx, s, ExportOptions{Since: "weekly"})
	if err != nil || hasOf(b, "a", "b", "c") != "ab" || b.about.Serial != first || b.about.Bundle != digestOf("1") {
		t.Fatalf("%+v, %v", b, err)
	}
	second := send(t, c, s, "weekly", "2", b, "b", "c")
	if second <= first {
		t.Errorf("serial %d after %d", second, first)
	}
	if b, err = c.exportBase(ctx, s, ExportOptions{Since: "weekly"}); err != nil || hasOf(b, "a", "b", "c", "d") != "abc" {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err = c.exportBase(ctx, s, ExportOptions{Since: fmt.Sprintf("weekly@%d", first)}); err != nil || hasOf(b, "a", "b", "c", "d") != "ab" {
		t.Errorf("%+v, %v", b, err)
	}
	send(t, c, s, "", "3", nil, "d")
	if b, err = c.exportBase(ctx, s, ExportOptions{Since: digestOf("3").Encoded()[:8]}); err != nil || hasOf(b, "a", "d") != "d" {
		t.Errorf("%+v, %v", b, err)
	}
	if previous, err := lastFor(ctx, s, "weekly", ""); previous != digestOf("2") || err != nil {
		t.Errorf("%s, %v", previous, err)
	}
	if err := s.RecordBundle(ctx, blobstore.Bundle{Direction: db.Sent, Name: "forgotten", Digest: digestOf("4")}, nil, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.exportBase(ctx, s, ExportOptions{Since: "forgotten"}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("what is not remembered: %v", err)
	}
}

// What was exported for a site counts for nothing there: only its receipts do.
func TestSitesHaveWhatTheirReceiptsSay(t *testing.T) {
	ctx := t.Context()
	c, s, said := sender(t)
	if _, err := c.exportBase(ctx, s, ExportOptions{For: "plant"}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a site that nobody knows: %v", err)
	}
	if _, err := s.AddSite(ctx, blobstore.Site{Name: "plant"}); err != nil {
		t.Fatal(err)
	}
	b, err := c.exportBase(ctx, s, ExportOptions{For: "plant", Name: "weekly"})
	if err != nil || hasOf(b, "a") != "" || b.about.Site != "plant" || b.about.Receipt != "" || len(*said) == 0 {
		t.Errorf("%+v, %v, %q", b, err, *said)
	}
	send(t, c, s, "weekly", "1", b, "a", "b")
	send(t, c, s, "weekly", "2", nil, "a", "b")
	if b, err = c.exportBase(ctx, s, ExportOptions{For: "plant", Name: "weekly"}); err != nil || hasOf(b, "a") != "" {
		t.Errorf("%+v, %v", b, err)
	}
	for site, want := range map[string]oci.Digest{"plant": digestOf("1"), "": digestOf("2"), "ship": ""} {
		if got, err := lastFor(ctx, s, "weekly", site); got != want || err != nil {
			t.Errorf("the last for %q is %s, %v", site, got, err)
		}
	}
	if _, err = c.exportBase(ctx, s, ExportOptions{Since: "weekly"}); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("since a name that went to a site and to others: %v", err)
	}
	if b, err = c.exportBase(ctx, s, ExportOptions{For: "plant", Since: "weekly"}); err != nil || b.about.Bundle != digestOf("1") {
		t.Errorf("since a name, for a site: %+v, %v", b, err)
	}
	if b, err = c.exportBase(ctx, s, ExportOptions{For: "plant", Since: "1ns"}); err != nil || hasOf(b, "a", "c") != "a" {
		t.Errorf("by the record: %+v, %v", b, err)
	}
}

// However many export at once, no two bundles of a name have one serial.
func TestSerialsAreTakenOnce(t *testing.T) {
	ctx := t.Context()
	first, s, _ := sender(t)
	const exports = 10
	serials := make(chan int64, 2*exports)
	var wg sync.WaitGroup
	for range exports {
		wg.Go(func() {
			c := New(Options{Store: first.opts.Store}) // as another process has it
			defer c.Close()
			s, err := c.Open(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			for range 2 {
				serial, err := nextSerial(ctx, s, "weekly", false)
				if err != nil {
					t.Error(err)
				}
				serials <- serial
			}
		})
	}
	wg.Wait()
	close(serials)
	seen, last := map[int64]bool{}, int64(0)
	for n := range serials {
		if seen[n] {
			t.Errorf("serial %d was given twice", n)
		}
		seen[n], last = true, max(last, n)
	}
	for range 2 {
		if planned, err := nextSerial(ctx, s, "weekly", true); planned <= last || planned > max(last+1, time.Now().Unix()) || err != nil {
			t.Errorf("a plan says %d after %d, %v", planned, last, err)
		}
	}
}

func TestRequestsAreAnswered(t *testing.T) {
	ctx := t.Context()
	c, s, _ := sender(t)
	here, err := c.Put(ctx, PutOptions{}, strings.NewReader("here"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(ctx, PutOptions{}, strings.NewReader("secret")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Tag(ctx, here.Digest.String(), "r.example/app:v1"); err != nil {
		t.Fatal(err)
	}
	send(t, c, s, "weekly", "index", nil, "here")
	path := filepath.Join(t.TempDir(), "request.json")
	ask := func(change func(*bundle.Request)) (*request, *base, error) {
		asked := bundle.Request{
			Bundle: digestOf("index"), Name: "weekly", Serial: 7, Store: "u", Missing: []bundle.BlobEntry{{Digest: here.Digest, Size: here.Size}},
			Images: []bundle.RequestedImage{{Name: "r.example/app:v1", Digest: here.Digest}, {Digest: here.Digest}},
		}
		change(&asked)
		data, err := asked.Encode()
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := readRequest(path)
		if err == nil {
			err = r.check(ctx, s)
		}
		if err != nil {
			return r, nil, err
		}
		b, err := r.base(ctx, s)
		return r, b, err
	}
	r, b, err := ask(func(*bundle.Request) {})
	if err != nil || b.has(here.Digest) || !b.has(digestOf("other")) || b.about.Request == "" || b.about.Bundle != digestOf("index") {
		t.Fatalf("%+v, %v", b, err)
	}
	list, err := r.list()
	if err != nil || len(list) != 2 || list[0].Word != "r.example/app:v1@"+here.Digest.String() || list[1].Word != here.Digest.String() {
		t.Errorf("%+v, %v", list, err)
	}
	gone := digestOf("gone")
	for what, change := range map[string]func(*bundle.Request){
		"a blob that is not here":         func(r *bundle.Request) { r.Missing[0].Digest = gone },
		"a bundle that was not sent":      func(r *bundle.Request) { r.Bundle = gone },
		"a name that never stood for it":  func(r *bundle.Request) { r.Images[0].Name = "r.example/other:v1" },
		"an image that the bundle lacked": func(r *bundle.Request) { r.Images[1].Digest = digestOf("secret") },
	} {
		if _, _, err := ask(change); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, change := range map[string]func(*bundle.Request){
		"a name with a line break": func(r *bundle.Request) { r.Name = "a\nb" },
		"a serial below 0":         func(r *bundle.Request) { r.Serial = -5 },
		"a store with a blank":     func(r *bundle.Request) { r.Store = "a b" },
		"a blob twice":             func(r *bundle.Request) { r.Missing = append(r.Missing, r.Missing[0]) },
	} {
		if _, _, err := ask(change); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readRequest(path); err == nil {
		t.Error("what is no request is taken for one")
	}
}

// Of twenty images of which none has changed, what a delta still has to say is a few KB,
// more where it names what is about them, too.
func TestADeltaOfNothingNewIsSmall(t *testing.T) {
	contents := bundle.Contents{Name: "site-b/weekly", Serial: 1_800_000_000, Previous: digestOf("before"), Documents: map[string]oci.Digest{}}
	var index oci.Index
	index.SchemaVersion, index.MediaType = 2, oci.MediaTypeIndex
	for i := range 20 {
		name := fmt.Sprintf("registry.example.com/platform/service-%02d", i)
		index.Manifests = append(index.Manifests, oci.Descriptor{
			MediaType: oci.MediaTypeIndex, Digest: digestOf(name), Size: 1234,
			Annotations: map[string]string{"io.containerd.image.name": name + ":v1.2.3", "org.opencontainers.image.ref.name": "v1.2.3"},
		})
		// A signature and an SBOM of each.
		for _, kind := range []string{"application/vnd.dev.sigstore.bundle.v0.3+json", "application/spdx+json"} {
			contents.Referrers = append(contents.Referrers, bundle.ReferrerEntry{Digest: digestOf(name + kind), Subject: digestOf(name), ArtifactType: kind})
		}
	}
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	contents.Documents["index.json"] = oci.DigestBytes(data)
	contents.Base = &bundle.Base{Site: "plant", Store: "7a3303f52d049eabccf81bd7c5bf3bc7", Receipt: digestOf("receipt"), Blobs: 260, Size: 9_000_000_000}
	said, err := contents.Encode()
	if err != nil {
		t.Fatal(err)
	}
	contents.Referrers = nil
	alone, err := contents.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of contents, %d without referrers, %d of index.json", len(said), len(alone), len(data))
	if len(alone)+len(data) > 7<<10 || len(said)+len(data) > 16<<10 {
		t.Error("that is more than a few KB")
	}
}

// What has come is noted as it says itself, once.
func TestWhatHasComeIsNoted(t *testing.T) {
	ctx := t.Context()
	c, s, _ := sender(t)
	contents := bundle.Contents{
		Name: "weekly", Serial: 7, TotalSize: 12, Blobs: []bundle.BlobEntry{{Digest: digestOf("a"), Size: 12}},
		Created: time.Unix(1_800_000_000, 0).UTC(), Base: &bundle.Base{Site: "plant", Bundle: digestOf("0")},
	}
	for range 2 {
		if err := c.recordImport(ctx, s, contents, digestOf("1"), 3); err != nil {
			t.Fatal(err)
		}
	}
	var all []blobstore.Bundle
	for b, err := range s.Bundles(ctx, db.Received) {
		if err != nil {
			t.Fatal(err)
		}
		b.ID, b.At = 0, time.Time{}
		all = append(all, b)
	}
	want := blobstore.Bundle{
		Direction: db.Received, Name: "weekly", Serial: 7, Digest: digestOf("1"), Site: "plant", Base: digestOf("0"),
		Created: contents.Created, Images: 3, Blobs: 1, Size: 12,
	}
	if len(all) != 1 || all[0] != want {
		t.Errorf("%+v", all)
	}
	if _, err := c.exportBase(ctx, s, ExportOptions{Since: "weekly"}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("what came is taken for what was sent: %v", err)
	}
}
