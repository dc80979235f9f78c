package client_test

import (
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"dist.example/client"
	"dist.example/registryserver/registrytest"
)

// A name that somebody else gives up to make room while it is brought up to date is set
// anew, whether its history tells of that or is not kept.
func TestANameThatMadeRoomMeanwhileIsSetAnew(t *testing.T) {
	t.Parallel()
	for what, bring := range map[string]func(*client.Client, string) error{
		"pull": func(c *client.Client, name string) error {
			_, err := c.Pull(t.Context(), []string{name}, client.PullOptions{})
			return err
		},
		"pull of what is here": func(c *client.Client, name string) error {
			_, err := c.Pull(t.Context(), []string{name}, client.PullOptions{Verify: true})
			return err
		},
		"copy": func(c *client.Client, name string) error {
			_, err := c.Copy(t.Context(), name, "store:"+name, client.CopyOptions{})
			return err
		},
	} {
		for _, keep := range []client.Settings{{}, client.DefaultSettings()} {
			reg, store := registry(t), filepath.Join(t.TempDir(), "store")
			other, name := clientOf(t, store), reg.Ref("app:v1")
			_, err := other.Init(t.Context())
			must(t, err)
			set := func(change func(*client.Settings)) {
				_, err := other.SetSettings(t.Context(), change)
				must(t, err)
			}
			set(func(s *client.Settings) { s.Grace, s.KeepHistory = 0, keep.KeepHistory })
			reg.PushImage("app:v1", registrytest.Bytes(1, 300_000))
			pull(t, other, name)
			if what != "pull of what is here" {
				reg.PushImage("app:v1", registrytest.Bytes(2, 300_000))
			}
			var evicted atomic.Bool // a store calls hooks from what it does by itself, too
			c := clientOf(t, store, func(o *client.Options) {
				o.Hook = func(point string) {
					if point != "pull.copied" && point != "copy.copied" || evicted.Swap(true) {
						return
					}
					set(func(s *client.Settings) { s.Quota = 1 })
					r, err := other.Collect(t.Context(), client.CollectOptions{})
					must(t, err)
					if len(r.Evicted) != 1 {
						t.Errorf("%s: %d names made room", what, len(r.Evicted))
					}
					set(func(s *client.Settings) { s.Quota = 0 })
				}
			})
			if err := bring(c, name); err != nil || !evicted.Load() {
				t.Errorf("%s, history kept for %s: %v", what, keep.KeepHistory, err)
			}
			if got := names(t, c); !slices.Equal(got, []string{name}) {
				t.Errorf("%s: the names are %q", what, got)
			}
		}
	}
}
