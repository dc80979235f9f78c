package registryclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// somewhere is content to push, which the registry does not have.
func somewhere(f *fake, size int) (oci.Descriptor, []byte) {
	desc := f.addBlob(size)
	data := f.blobs[desc.Digest.String()]
	delete(f.blobs, desc.Digest.String())
	return desc, data
}

func wantHeld(t *testing.T, f *fake, desc oci.Descriptor, data []byte) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !bytes.Equal(f.blobs[desc.Digest.String()], data) {
		t.Fatal("the registry has other bytes")
	}
}

func TestPushFromEveryKindOfReader(t *testing.T) {
	for _, size := range []int{0, 1, 5 << 20} {
		f := newFake(t)
		desc, data := somewhere(f, size)
		path := filepath.Join(t.TempDir(), "blob")
		if err := os.WriteFile(path, append([]byte("skip"), data...), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Seek(4, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		for name, from := range map[string]io.Reader{
			"file": file, "reader at": bytes.NewReader(data), "stream": io.MultiReader(bytes.NewReader(data)),
		} {
			delete(f.blobs, desc.Digest.String())
			if err := f.repository(t, nil).Push(context.Background(), desc, from); err != nil {
				t.Fatalf("%s of %d bytes: %v", name, size, err)
			}
			wantHeld(t, f, desc, data)
		}
		if _, err := file.Stat(); err != nil {
			t.Fatalf("the caller's file was closed: %v", err)
		}
	}
}

func TestPushSurvives(t *testing.T) {
	put := func(r *http.Request) bool { return r.Method == http.MethodPut }
	var f *fake
	cases := map[string]func(w http.ResponseWriter, r *http.Request, k int) bool{
		// k counts the requests of this kind, whatever their session
		"503 on POST": func(w http.ResponseWriter, r *http.Request, k int) bool {
			if r.Method == http.MethodPost && k == 1 {
				w.WriteHeader(503)
				return true
			}
			return false
		},
		"500 on PUT": func(w http.ResponseWriter, r *http.Request, k int) bool {
			if put(r) && k == 1 {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(500)
				return true
			}
			return false
		},
		"reset in the middle, part kept": func(_ http.ResponseWriter, r *http.Request, k int) bool {
			if put(r) && k == 1 {
				p := make([]byte, 100_000)
				_, _ = io.ReadFull(r.Body, p)
				f.mu.Lock()
				for id := range f.uploads {
					f.uploads[id] = p
				}
				f.mu.Unlock()
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"reset, session lost": func(_ http.ResponseWriter, r *http.Request, k int) bool {
			if put(r) && k == 1 {
				f.mu.Lock()
				clear(f.uploads)
				f.mu.Unlock()
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"session answered 404": func(w http.ResponseWriter, r *http.Request, k int) bool {
			if put(r) && k == 1 {
				f.mu.Lock()
				clear(f.uploads)
				f.mu.Unlock()
			}
			return false
		},
		"401 refused early": func(w http.ResponseWriter, r *http.Request, k int) bool {
			if put(r) && k == 1 {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.url.String()+`/token"`)
				w.WriteHeader(401)
				return true
			}
			if r.URL.Path == "/token" {
				fmt.Fprint(w, `{"token":"t"}`)
				return true
			}
			return false
		},
		"last word lost": func(w http.ResponseWriter, r *http.Request, k int) bool {
			if put(r) && k == 1 {
				f.serve(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			return false
		},
	}
	for name, h := range cases {
		for _, kind := range []string{"file", "memory"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				f = newFake(t)
				kinds := map[string]int{}
				f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
					f.mu.Lock()
					kinds[r.Method]++
					k := kinds[r.Method]
					f.mu.Unlock()
					return h(w, r, k)
				}
				desc, data := somewhere(f, 1<<20)
				var from io.Reader = bytes.NewReader(data)
				if kind == "file" {
					path := filepath.Join(t.TempDir(), "blob")
					if err := os.WriteFile(path, data, 0o600); err != nil {
						t.Fatal(err)
					}
					file, err := os.Open(path)
					if err != nil {
						t.Fatal(err)
					}
					defer file.Close()
					from = file
				}
				if err := f.repository(t, nil).Push(context.Background(), desc, from); err != nil {
					t.Fatal(err)
				}
				wantHeld(t, f, desc, data)
				if name == "last word lost" && f.requests("PUT") != 1 {
					t.Fatal("what had arrived was sent again")
				}
				if name == "reset in the middle, part kept" && f.requests("PATCH") != 1 {
					t.Fatal("it was not resumed")
				}
			})
		}
	}
}

func TestPushToAnotherHostSendsNoCredentials(t *testing.T) {
	f := newFake(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials went to the upload's host")
		}
		if r.URL.Query().Get("keep") != "a b" || r.URL.Query().Get("digest") == "" {
			t.Errorf("query %s", r.URL.RawQuery)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	defer elsewhere.Close()
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
			return true
		}
		w.Header().Set("Location", elsewhere.URL+"/up?keep=a%20b")
		w.WriteHeader(http.StatusAccepted)
		return true
	}
	desc, data := somewhere(f, 1000)
	if err := f.repository(t, authFileFor(t, f.url.Host, "ann", "pw")).Push(context.Background(), desc, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func TestPushFailures(t *testing.T) {
	f := newFake(t)
	desc, data := somewhere(f, 6<<20)
	r := f.repository(t, nil)
	err := r.Push(context.Background(), desc, bytes.NewReader(data[:1000]))
	wantClass(t, err, content.ErrCorrupt)
	data[5]++
	err = r.Push(context.Background(), desc, bytes.NewReader(data))
	wantClass(t, err, content.ErrCorrupt)
	err = r.Push(context.Background(), desc, io.MultiReader(bytes.NewReader(data)))
	wantClass(t, err, content.ErrCorrupt)
	if len(f.blobs) != 0 {
		t.Fatal("something was accepted")
	}
}

// Nobody goes on with the session of a push that was cancelled or refused.
func TestAPushThatEndsEarlyCancelsItsSession(t *testing.T) {
	f := newFake(t)
	desc, data := somewhere(f, 1<<20)
	ctx, cancel := context.WithCancel(context.Background())
	f.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodPut {
			cancel()
		}
		return false
	}
	err := f.repository(t, nil).Push(ctx, desc, bytes.NewReader(data))
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for status, class := range map[int]error{http.StatusForbidden: content.ErrDenied, http.StatusInsufficientStorage: content.ErrNoSpace} {
		f.misbehave(func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPut {
				w.WriteHeader(status)
			}
			return r.Method == http.MethodPut
		})
		wantClass(t, f.repository(t, nil).Push(context.Background(), desc, bytes.NewReader(data)), class)
	}
	if begun, cancelled := f.requests("POST"), f.requests("DELETE"); begun != 3 || cancelled != 3 {
		t.Errorf("%d sessions were begun, and %d cancelled", begun, cancelled)
	}
}

// A registry that has no room to give something, which is one that keeps what it
// fetches, is one of several that may have it.
func TestNoRoomToReadIsNoMatterOfRoomHere(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(100)
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(http.StatusInsufficientStorage)
		return true
	}
	_, err := f.repository(t, nil).Fetch(context.Background(), desc)
	wantClass(t, err, content.ErrUnavailable)
	if n := f.requests("GET"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestExists(t *testing.T) {
	f := newFake(t)
	blob := f.addBlob(100)
	man := f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	r := f.repository(t, nil)
	for _, d := range []oci.Descriptor{blob, man} {
		if ok, err := r.Exists(context.Background(), d); !ok || err != nil {
			t.Fatalf("%v, %v", ok, err)
		}
		d.Digest = oci.DigestBytes([]byte("no"))
		if ok, err := r.Exists(context.Background(), d); ok || err != nil {
			t.Fatalf("absent: %v, %v", ok, err)
		}
	}
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(403); return true }
	_, err := r.Exists(context.Background(), blob)
	wantClass(t, err, content.ErrDenied)
}

func TestMount(t *testing.T) {
	for code, want := range map[int]bool{201: true, 202: false, 403: false, 404: false, 405: false} {
		f := newFake(t)
		desc, data := somewhere(f, 1000)
		f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			q := r.URL.Query()
			if q.Get("mount") == "" || code == 202 {
				return false
			}
			if q.Get("mount") != desc.Digest.String() || q.Get("from") != "team/base" {
				t.Errorf("query %v", q)
			}
			w.WriteHeader(code)
			return true
		}
		r := f.repository(t, nil)
		got, err := r.Mount(context.Background(), desc, oci.Reference{Registry: f.url.Host, Repository: "team/base"})
		if err != nil || got != want {
			t.Fatalf("%d: %v, %v", code, got, err)
		}
		if got {
			continue
		}
		posts := f.requests("POST")
		if err := r.Push(context.Background(), desc, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if code == 202 && f.requests("POST") != posts {
			t.Error("the upload that the mount had opened was not used")
		}
	}
	f := newFake(t)
	if ok, err := f.repository(t, nil).Mount(context.Background(), oci.Descriptor{}, oci.Reference{Registry: "other.test", Repository: "a"}); ok || err != nil || f.requests("") != 0 {
		t.Fatalf("from another registry: %v, %v", ok, err)
	}
}

func TestPushManifestAndTag(t *testing.T) {
	f := newFake(t)
	r := f.repository(t, nil)
	desc := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes([]byte(aManifest)), Size: int64(len(aManifest))}
	if err := r.PushManifest(context.Background(), desc, []byte(aManifest), "v1", "v2"); err != nil {
		t.Fatal(err)
	}
	if n := f.requests(""); n != 2 {
		t.Fatalf("%d requests for two tags", n)
	}
	if err := r.Tag(context.Background(), desc, oci.Reference{Tag: "v3"}); err != nil || f.requests("") != 3 {
		t.Fatalf("%v after %d requests", err, f.requests(""))
	}
	if err := f.repository(t, nil).Tag(context.Background(), desc, oci.Reference{Tag: "v4"}); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "v2", "v3", "v4"} {
		if m := f.manifests[tag]; m.desc.Digest != desc.Digest || m.desc.MediaType != desc.MediaType {
			t.Errorf("%s: %+v", tag, m.desc)
		}
	}
	err := r.PushManifest(context.Background(), desc, []byte(aManifest+" "))
	wantClass(t, err, content.ErrCorrupt)
	err = r.Push(context.Background(), desc, strings.NewReader(aManifest[1:]))
	wantClass(t, err, content.ErrCorrupt)
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Docker-Content-Digest", oci.DigestBytes(nil).String())
		w.WriteHeader(201)
		return true
	}
	err = r.Push(context.Background(), desc, strings.NewReader(aManifest))
	wantClass(t, err, content.ErrCorrupt)
}
