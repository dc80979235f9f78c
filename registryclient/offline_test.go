package registryclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// untouched fails the test when a request gets as far as a connection.
type untouched struct{ t *testing.T }

func (u untouched) RoundTrip(req *http.Request) (*http.Response, error) {
	u.t.Errorf("%s %s was sent", req.Method, req.URL)
	return nil, errors.New("sent")
}

func TestOfflineEveryMethodRefusesBeforeAnythingIsSent(t *testing.T) {
	c, err := New(Options{Offline: true, Transport: untouched{t}, HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := oci.ParseReference("registry.invalid/team/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("{}")
	blob := oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: oci.DigestBytes(data), Size: 2}
	manifest := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: blob.Digest, Size: 2}
	r, ctx := c.Repository(ref), context.Background()
	for name, call := range map[string]func(r *Repository) error{
		"resolve":        func(r *Repository) error { _, err := r.Resolve(ctx, ref); return err },
		"fetch":          func(r *Repository) error { _, err := r.Fetch(ctx, blob); return err },
		"fetch manifest": func(r *Repository) error { _, _, err := r.FetchManifest(ctx, ref); return err },
		"fetch from":     func(r *Repository) error { _, err := r.FetchFrom(ctx, blob, 1); return err },
		"stat":           func(r *Repository) error { _, err := r.StatBlob(ctx, blob.Digest); return err },
		"exists":         func(r *Repository) error { _, err := r.Exists(ctx, blob); return err },
		"push":           func(r *Repository) error { return r.Push(ctx, blob, strings.NewReader("{}")) },
		"push manifest":  func(r *Repository) error { return r.PushManifest(ctx, manifest, data) },
		"tag":            func(r *Repository) error { return r.Tag(ctx, manifest, ref) },
		"mount": func(r *Repository) error {
			_, err := r.Mount(ctx, blob, oci.Reference{Registry: ref.Registry, Repository: "other"})
			return err
		},
		"tags": func(r *Repository) error {
			for _, err := range r.Tags(ctx) {
				return err
			}
			return nil
		},
	} {
		for side, r := range map[string]*Repository{"pull": r, "push": r.ForPush()} {
			err := call(r)
			if !errors.Is(err, content.ErrOffline) || errors.Is(err, content.ErrUnavailable) || content.Hint(err) == "" {
				t.Errorf("%s for %s: %v, want ErrOffline with a hint", name, side, err)
			}
		}
	}
	if s := c.Stats(); s != (Stats{}) {
		t.Errorf("it counts %+v", s)
	}
}

// What stands before the network refuses too, whoever may ask it.
func TestOfflineNoConnectionIsMade(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := New(Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.dial(new(net.Dialer))(context.Background(), "tcp", l.Addr().String())
	if conn != nil || !errors.Is(err, content.ErrOffline) {
		t.Errorf("a connection %v, error %v", conn, err)
	}
	h := hop{client: c, base: &url.URL{Scheme: "http", Host: l.Addr().String()}, rt: untouched{t}}
	if _, _, err := h.follow(context.Background(), call{method: http.MethodGet, url: h.base}); !errors.Is(err, content.ErrOffline) {
		t.Errorf("a request: %v", err)
	}
}
