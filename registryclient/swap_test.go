package registryclient_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

// tagged is what a tag of the registry stands for, "" for nothing.
func tagged(t *testing.T, r *registryclient.Repository, tag string) oci.Digest {
	t.Helper()
	desc, err := r.Resolve(t.Context(), oci.Reference{Tag: tag})
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		t.Fatal(err)
	}
	return desc.Digest
}

func TestSwapTag(t *testing.T) {
	ctx := t.Context()
	for name, fault := range map[string]registrytest.Fault{
		"conditions": nil, "no ETag": registrytest.SetHeader("ETag", ""),
	} {
		t.Run(name, func(t *testing.T) {
			reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{Bearer: true}})
			one, two := reg.PushImage("app:one", []byte("one")), reg.PushImage("app:two", []byte("two"))
			if fault != nil {
				reg.Inject(registrytest.Match{}, fault)
			}
			r := open(t, reg, "app").ForPush()
			err := r.SwapTag(ctx, one, nil, "v1", two.Digest)
			if !errors.Is(err, content.ErrConflict) || !strings.Contains(err.Error(), two.Digest.String()) || !strings.Contains(err.Error(), "nothing") {
				t.Fatalf("a tag that is not there: %v", err)
			}
			if err := r.SwapTag(ctx, one, nil, "v1", ""); err != nil || tagged(t, r, "v1") != one.Digest {
				t.Fatalf("a new tag: %v", err)
			}
			if err := r.SwapTag(ctx, two, nil, "v1", ""); !errors.Is(err, content.ErrConflict) {
				t.Fatalf("a tag that is there: %v", err)
			}
			if err := r.SwapTag(ctx, two, nil, "v1", one.Digest); err != nil || tagged(t, r, "v1") != two.Digest {
				t.Fatalf("the tag as expected: %v", err)
			}
			err = r.SwapTag(ctx, one, nil, "v1", one.Digest)
			if !errors.Is(err, content.ErrConflict) || !strings.Contains(err.Error(), one.Digest.String()) || !strings.Contains(err.Error(), two.Digest.String()) {
				t.Fatalf("a tag that has moved: %v", err)
			}
		})
	}
}

// Somebody who moves the tag between look and put is noticed by the registry.
func TestSwapTagIsOvertaken(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	one, two := reg.PushImage("app:v1", []byte("one")), reg.PushImage("app:two", []byte("two"))
	other := reg.PushImage("app:other", []byte("other"))
	reg.Inject(registrytest.Match{Method: http.MethodPut, Kind: "manifest", Times: 1},
		func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			reg.Tag("app:v1", other.Digest)
			next.ServeHTTP(w, req)
		})
	r := open(t, reg, "app").ForPush()
	err := r.SwapTag(t.Context(), two, nil, "v1", one.Digest)
	if !errors.Is(err, content.ErrConflict) || !strings.Contains(err.Error(), other.Digest.String()) {
		t.Fatal(err)
	}
	if got := tagged(t, r, "v1"); got != other.Digest {
		t.Fatalf("the tag stands for %s", got)
	}
}

// An answer that was lost lets the put be sent again, which meets its own work.
func TestSwapTagSentTwice(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	one, two := reg.PushImage("app:v1", []byte("one")), reg.PushImage("app:two", []byte("two"))
	reg.Inject(registrytest.Match{Method: http.MethodPut, Kind: "manifest", Times: 1},
		func(_ http.ResponseWriter, req *http.Request, next http.Handler) {
			next.ServeHTTP(lost{http.Header{}}, req)
			panic(http.ErrAbortHandler)
		})
	r := open(t, reg, "app").ForPush()
	if err := r.SwapTag(t.Context(), two, nil, "v1", one.Digest); err != nil || tagged(t, r, "v1") != two.Digest {
		t.Fatal(err)
	}
}

// lost takes an answer that nobody gets.
type lost struct{ header http.Header }

func (l lost) Header() http.Header       { return l.header }
func (lost) Write(p []byte) (int, error) { return len(p), nil }
func (lost) WriteHeader(int)             {}

func TestDeleteTag(t *testing.T) {
	ctx := t.Context()
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{Bearer: true}})
	one := reg.PushImage("app:v1", []byte("one"))
	reg.Tag("app:v2", one.Digest)
	r := open(t, reg, "app").ForPush()
	if err := r.DeleteTag(ctx, "v1"); err != nil || tagged(t, r, "v1") != "" || tagged(t, r, "v2") != one.Digest {
		t.Fatalf("the other tag stays: %v", err)
	}
	if err := r.DeleteTag(ctx, "v1"); !errors.Is(err, content.ErrNotFound) {
		t.Fatalf("again: %v", err)
	}
	for _, status := range []int{400, 405} {
		reg.Inject(registrytest.Match{Method: http.MethodDelete, Times: 1}, registrytest.Answer(status))
		if err := r.DeleteTag(ctx, "v2"); !errors.Is(err, content.ErrUnsupported) {
			t.Fatalf("%d: %v", status, err)
		}
	}
	if err := r.DeleteManifest(ctx, one.Digest); err != nil || tagged(t, r, "v2") != "" {
		t.Fatalf("by digest: %v", err)
	}
}
