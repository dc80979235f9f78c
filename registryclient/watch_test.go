package registryclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// notices are what a client says of its waits, and when.
type notices struct {
	mu   sync.Mutex
	from time.Time
	said []string
	at   []time.Duration
}

func listen(r *Repository) *notices {
	n := &notices{from: time.Now()}
	r.client.opts.Notice = func(m string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.said, n.at = append(n.said, m), append(n.at, time.Since(n.from))
	}
	return n
}

// all are the notices so far.
func (n *notices) all() ([]string, []time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.said, n.at
}

// asleep answers nothing for as long as anybody may wait. The time is false.
func asleep() bool { time.Sleep(time.Hour); panic(http.ErrAbortHandler) }

// waits are all the kinds of waits that there are.
var waits = map[string]struct {
	hook func(f *fake, w http.ResponseWriter, r *http.Request) bool
	act  func(ctx context.Context, f *fake, r *Repository) error
	says string // what its notice ends in
}{
	"an answer": {
		func(_ *fake, _ http.ResponseWriter, _ *http.Request) bool { return asleep() },
		pullBlob, " (no answer comes)",
	},
	"a body": {
		func(_ *fake, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "50000")
			_, _ = w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
			return asleep()
		},
		pullBlob, " (no byte comes)",
	},
	"a pause": {
		func(_ *fake, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "40")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		pullBlob, " (a pause before the next try)",
	},
	"a token": {
		func(_ *fake, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				return asleep()
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://localhost:5000/token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		},
		pullBlob, ": token for localhost:5000/team/app (no answer comes)",
	},
	"an upload that is not taken": {
		func(_ *fake, _ http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			_, _ = io.CopyN(io.Discard, r.Body, 100_000)
			return asleep()
		},
		pushBlob, " (no byte is taken)",
	},
	"an answer to an upload": {
		func(_ *fake, _ http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			return asleep()
		},
		pushBlob, " (no answer comes)",
	},
}

func pullBlob(ctx context.Context, f *fake, r *Repository) error {
	desc := f.addBlob(50_000)
	rc, err := r.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	_, err = io.Copy(io.Discard, rc)
	return err
}

func pushBlob(ctx context.Context, f *fake, r *Repository) error {
	desc, data := somewhere(f, 1<<20)
	return r.Push(ctx, desc, bytes.NewReader(data))
}

func TestEveryWaitIsToldOfAndCanBeEnded(t *testing.T) {
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := emptyFake()
				f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool { return wait.hook(f, w, r) }
				r, stop := inBubble(t, f)
				defer stop()
				told := listen(r)
				start := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
				defer cancel()
				err := wait.act(ctx, f, r)
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 7*time.Second {
					t.Errorf("%v after %s, want its end when the context ended, after 7s", err, took)
				}
				said, at := told.all()
				if len(said) != 1 || at[0] < patience || at[0] > patience+time.Second {
					t.Fatalf("%q at %s, want one notice after %s", said, at, patience)
				}
				if m := said[0]; !strings.HasPrefix(m, "waiting for localhost:5000 until ") || !strings.HasSuffix(m, wait.says) {
					t.Errorf("%q, want the host, the end of the wait, and %q", m, wait.says)
				}
			})
		})
	}
}

func TestShortWaitsAreNotToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			time.Sleep(4 * time.Second)
			if r.Method != http.MethodGet {
				p := make([]byte, 64<<10)
				for _, err := io.ReadFull(r.Body, p); err == nil; _, err = io.ReadFull(r.Body, p) {
					time.Sleep(4 * time.Second)
				}
				w.Header().Set("Location", repoPath+"blobs/uploads/1")
				w.WriteHeader(map[string]int{http.MethodPost: 202, http.MethodPut: 201}[r.Method])
				return true
			}
			w.Header().Set("Content-Length", "50000")
			for i := range 5 {
				_, _ = w.Write(make([]byte, 10_000))
				w.(http.Flusher).Flush()
				time.Sleep(time.Duration(4-i) * time.Second)
			}
			return true
		}
		r, stop := inBubble(t, f)
		defer stop()
		told := listen(r)
		_ = pullBlob(context.Background(), f, r) // other bytes come, slowly
		if err := pushBlob(context.Background(), f, r); err != nil {
			t.Error(err)
		}
		if said, _ := told.all(); len(said) != 0 || time.Since(told.from) < time.Minute {
			t.Errorf("%q within %s", said, time.Since(told.from))
		}
	})
}

func TestEachOfSeveralWaitsIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		desc := f.addBlob(1000)
		f.hook = func(_ http.ResponseWriter, r *http.Request, n int) bool {
			if n <= 2 {
				<-r.Context().Done()
			}
			return n <= 2
		}
		r, stop := inBubble(t, f)
		defer stop()
		told := listen(r)
		mustFetch(t, f, r, desc)
		if said, at := told.all(); len(said) != 2 || slices.Contains(said, "") {
			t.Errorf("%q at %s, want one notice for each of two waits", said, at)
		}
	})
}

// An upload whose content is slow to come is no fault of the registry's.
func TestASlowSourceIsNoStalledUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		r, stop := inBubble(t, f)
		defer stop()
		told := listen(r)
		desc, data := somewhere(f, 6<<20)
		if err := r.Push(context.Background(), desc, &slowReader{bytes.NewReader(data), 2 << 20}); err != nil {
			t.Fatal(err)
		}
		wantHeld(t, f, desc, data)
		if said, _ := told.all(); len(said) != 0 || f.requests(http.MethodPut) != 1 {
			t.Errorf("%q after %d uploads", said, f.requests(http.MethodPut))
		}
	})
}

// slowReader takes a minute for each stretch of its content.
type slowReader struct {
	r       io.Reader
	stretch int
}

func (s *slowReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), s.stretch)])
	if s.stretch -= n; s.stretch == 0 {
		s.stretch = 2 << 20
		time.Sleep(time.Minute)
	}
	return n, err
}

func TestARegistryMayThinkAboutWhatItHasReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		puts := 0
		f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if r.Method != http.MethodPut {
				return false
			}
			puts++
			if puts == 1 { // all of it arrives, and the connection breaks
				data, _ := io.ReadAll(r.Body)
				f.mu.Lock()
				for id := range f.uploads {
					f.uploads[id] = data
				}
				f.mu.Unlock()
				panic(http.ErrAbortHandler)
			}
			time.Sleep(4 * time.Minute)
			return false
		}
		r, stop := inBubble(t, f)
		defer stop()
		told := listen(r)
		desc, data := somewhere(f, 100_000)
		if err := r.Push(context.Background(), desc, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		wantHeld(t, f, desc, data)
		if said, _ := told.all(); puts != 2 || len(said) != 1 {
			t.Errorf("%d uploads, %q", puts, said)
		}
	})
}
