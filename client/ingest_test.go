package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// unread is an input that must not be touched.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the input was read")
	return 0, io.EOF
}

// events remembers what it is told.
type events struct {
	mu  sync.Mutex
	all []content.Event
}

func (e *events) observe(ev content.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

// first and last of the events, which must all be about name.
func (e *events) ends(t *testing.T, name string) (first, last content.Event) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.all) == 0 || slices.ContainsFunc(e.all, func(ev content.Event) bool { return ev.Name != name }) {
		t.Fatalf("the events are %+v", e.all)
	}
	first, last = e.all[0], e.all[len(e.all)-1]
	e.all = nil
	return first, last
}

func TestIngestTellsOfItsProgressUnderItsKey(t *testing.T) {
	t.Parallel()
	var seen events
	c := client.New(client.Options{Store: t.TempDir() + "/store", Observe: seen.observe})
	t.Cleanup(func() { c.Close() })
	p := registrytest.Bytes(1, 700<<10)
	size := int64(len(p))
	o := client.IngestOptions{Type: "layer", Expected: oci.DigestBytes(p), Size: &size}

	_, err := c.Ingest(t.Context(), "key", o, bytes.NewReader(p[:1000]))
	want(t, content.ErrCorrupt, err)
	if first, last := seen.ends(t, "key"); first.Kind != content.EventStarted || first.Total != size || last.Kind != content.EventFailed || last.Offset != 1000 {
		t.Errorf("an early end is told as %+v … %+v", first, last)
	}
	info, err := c.Ingest(t.Context(), "key", o, bytes.NewReader(p))
	must(t, err)
	if info.Digest != o.Expected || info.MediaType != oci.MediaTypeLayer || info.Committed.IsZero() {
		t.Errorf("Ingest tells of %+v", info)
	}
	if _, last := seen.ends(t, "key"); last.Kind != content.EventFinished || last.Offset != size {
		t.Errorf("the end is told as %+v", last)
	}
	for _, kind := range []string{"layer", "blob"} {
		o.Type = kind
		again, err := c.Ingest(t.Context(), "other", o, unread{t})
		must(t, err)
		if again != info {
			t.Errorf("the second time it is %+v, the first time %+v", again, info)
		}
		if first, last := seen.ends(t, "other"); first.Kind != content.EventReused || last.Kind != content.EventReused {
			t.Errorf("what is here is told as %+v … %+v", first, last)
		}
	}
}

func TestIngestChecksWhatItIsGiven(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, key := range []string{"", "a\nb", "a\x00", "a\u0085b", "\xff", strings.Repeat("x", 4097)} {
		_, err := c.Ingest(t.Context(), key, client.IngestOptions{}, unread{t})
		want(t, content.ErrInvalid, err)
	}
	_, err := c.Ingest(t.Context(), "k", client.IngestOptions{Type: "no type at all"}, unread{t})
	want(t, content.ErrInvalid, err)
	want(t, content.ErrNoStore, c.Abort(t.Context(), "k"))
	put(t, c, []byte("x"))
	want(t, content.ErrNotFound, c.Abort(t.Context(), "k"))
}

// An input that fails, or is broken off, leaves what came to the next try.
func TestABrokenInputKeepsWhatCame(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	p := registrytest.Bytes(1, 900<<10)
	broken := errors.New("broken")
	_, err := c.Ingest(t.Context(), "k", client.IngestOptions{}, io.MultiReader(bytes.NewReader(p[:300<<10]), failing{broken}))
	want(t, broken, err)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = c.Ingest(ctx, "k", client.IngestOptions{}, io.MultiReader(bytes.NewReader(p[:400<<10]), calling(cancel)))
	want(t, context.Canceled, err)
	n := 0
	for st, err := range c.Active(t.Context()) {
		must(t, err)
		n++
		if st.Key != "k" || st.Offset != 400<<10 || st.Live {
			t.Errorf("what is left is %+v", st)
		}
	}
	if n != 1 {
		t.Errorf("%d ingests are left", n)
	}
	info, err := c.Ingest(t.Context(), "k", client.IngestOptions{}, bytes.NewReader(p))
	must(t, err)
	if info.Digest != oci.DigestBytes(p) {
		t.Errorf("stored %s", info.Digest)
	}
}

// failing is an input that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// calling is an input that calls a function, and has a byte that does not count.
type calling func()

func (c calling) Read(p []byte) (int, error) {
	c()
	return 0, nil
}
