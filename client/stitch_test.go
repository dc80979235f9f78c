package client_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// A source that gives parts at first, or none, and then answers with all of the blob: what
// is damaged is right afterwards, by a repair and by a pull.
func TestASourceThatStopsGivingParts(t *testing.T) {
	t.Parallel()
	w := newWounded(t)
	layer := oci.DigestBytes(w.large)
	for name, heal := range map[string]func(t *testing.T, c *client.Client, ref string){
		"repair": func(t *testing.T, c *client.Client, _ string) {
			r, err := c.Repair(t.Context(), nil, client.RepairOptions{})
			must(t, err)
			if len(r.Repaired) != 1 || len(r.Left) != 0 {
				t.Errorf("%+v", r)
			}
		},
		"pull": func(t *testing.T, c *client.Client, ref string) { pull(t, c, ref) },
	} {
		for parts := range 3 {
			t.Run(fmt.Sprintf("%s after %d parts", name, parts), func(t *testing.T) {
				dir := w.copied(t)
				for _, at := range []int64{100, 2 * mib, 4 * mib} {
					flipAt(at)(t, filepath.Join(dir, w.blob(w.large)))
				}
				c := clientOf(t, dir)
				_, err := c.CheckStore(t.Context(), client.CheckOptions{})
				must(t, err)
				w.reg.Heal()
				w.reg.Inject(registrytest.Match{Method: "GET", Digest: layer, Skip: parts}, registrytest.IgnoreRange())
				w.reg.Forget()
				heal(t, c, w.reg.Ref("app:v1"))
				if w.reg.Count(registrytest.Match{Method: "GET", Digest: layer}) <= parts {
					t.Errorf("requests: %+v", w.reg.Requests())
				}
				if string(get(t, c, layer.String())) != string(w.large) {
					t.Error("the layer reads wrong")
				}
				r, err := c.CheckStore(t.Context(), client.CheckOptions{})
				must(t, err)
				if !r.Clean() {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}
