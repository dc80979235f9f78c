package registryserver

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dist.example/oci"
)

// allPages reads a list page by page as a client does, from a store whose order is
// another each time, and says how many pages there were.
func allPages(t *testing.T, all []oci.Descriptor, entries, bytes int) (got []string, pages int) {
	t.Helper()
	for after := ""; ; pages++ {
		page := referrerPage{after: after, entries: entries, bytes: bytes}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, d := range all {
			if err := page.add(d); err != nil {
				t.Fatal(err)
			}
		}
		if len(page.list) > entries || page.size > bytes && len(page.list) > 1 {
			t.Fatalf("a page has %d entries of %d bytes", len(page.list), page.size)
		}
		for _, r := range page.list {
			got = append(got, r.digest)
		}
		if !page.more {
			return got, pages + 1
		}
		after = page.last()
	}
}

func TestPagesOfReferrersHaveEveryOneOnce(t *testing.T) {
	var all []oci.Descriptor
	var want []string
	for i := range 100 {
		d := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes(fmt.Append(nil, i)), Size: 1}
		if i%10 == 0 {
			d.Annotations = map[string]string{"large": strings.Repeat("<", 3000)}
		}
		all = append(all, d)
		want = append(want, d.Digest.String())
	}
	slices.Sort(want)
	tests := map[string]struct{ entries, bytes, pages int }{
		"all on one":        {1000, 1 << 20, 1},
		"exactly one":       {100, 1 << 20, 1},
		"by entries":        {30, 1 << 20, 4},
		"one on each":       {1, 1 << 20, 100},
		"larger than pages": {1000, 10, 100},
	}
	for name, tt := range tests {
		got, pages := allPages(t, all, tt.entries, tt.bytes)
		if !slices.Equal(got, want) || pages != tt.pages {
			t.Errorf("%s: %d pages have %d entries, in order: %v", name, pages, len(got), slices.IsSorted(got))
		}
	}
	if got, _ := allPages(t, all, 1000, 8000); !slices.Equal(got, want) {
		t.Errorf("pages by size have %d entries", len(got))
	}
}

func TestTheLargestPageIsAnIndexThatClientsRead(t *testing.T) {
	page := referrerPage{entries: maxReferrers, bytes: pageBytes}
	for i := range 10 {
		d := oci.Descriptor{
			MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes(fmt.Append(nil, i)), Size: 1,
			Annotations: map[string]string{"large": strings.Repeat("&", 500_000)},
		}
		if err := page.add(d); err != nil {
			t.Fatal(err)
		}
	}
	data, err := encode(page.index())
	if err != nil || len(data) > oci.MaxManifestSize || len(page.list) != 8 || !page.more {
		t.Fatalf("%d entries make %d bytes: %v", len(page.list), len(data), err)
	}
	var x oci.Index
	if err := json.Unmarshal(data, &x); err != nil || x.SchemaVersion != 2 || x.MediaType != oci.MediaTypeIndex || len(x.Manifests) != 8 {
		t.Errorf("%+v, %v", x.Versioned, err)
	}
}
