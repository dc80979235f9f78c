package registryclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/registryserver/registrytest"
)

// classes are the exit codes that PROTOCOLS demands, by what errors wrap.
var classes = []struct {
	class error
	exit  int
}{
	{content.ErrUnsupported, 14},
	{content.ErrCorrupt, 4},
	{content.ErrDenied, 6},
	{content.ErrConflict, 8},
	{content.ErrNotFound, 3},
	{content.ErrUnavailable, 7},
	{content.ErrInvalid, 2},
	{context.Canceled, 130},
}

// classOf is err's class in a few words.
func classOf(err error) string {
	for _, c := range classes {
		if errors.Is(err, c.class) {
			return fmt.Sprintf("exit %d", c.exit)
		}
	}
	return "exit 1"
}

// killed ends a verb when seven tenths of the largest layer are on their way, and
// runs it again: the second run moves at most what was missing.
func killed(t *testing.T, verb string, table *results) {
	w := newWorld(t, setting{stream: true})
	defer w.close()
	if verb == "push" {
		w.hold(w.local)
	}
	ctx, cancel := context.WithTimeout(context.Background(), rowDeadline)
	defer cancel()
	if verb == "pull" {
		w.src.Inject(registrytest.Match{Method: http.MethodGet, Kind: blob, Digest: w.big.Digest, Skip: 1},
			registrytest.CutAfter(w.big.Size*7/10-segment))
		w.src.Inject(registrytest.Match{Method: http.MethodGet, Kind: blob, Digest: w.big.Digest, Skip: 2}, registrytest.Then(cancel))
	} else {
		large(w, 1, registrytest.Then(cancel))
	}
	if err := w.run(ctx, verb); !errors.Is(err, context.Canceled) {
		t.Fatalf("it ended in %v, not with its context", err)
	}
	w.nothing(verb)
	missing := w.missing(verb)
	w.src.Heal()
	w.dst.Heal()
	w.options.UserAgent = "again" // requests of the first run may arrive still
	start := time.Now()
	ctx, cancel = context.WithTimeout(context.Background(), rowDeadline)
	defer cancel()
	err := w.run(ctx, verb)
	a := w.account()
	table.add(t.Name(), err, a, time.Since(start))
	if err != nil {
		t.Fatal(err)
	}
	w.whole(verb)
	w.discreet()
	if a.in > missing || a.out > missing {
		t.Errorf("%.3f of the image came and %.3f went, %.3f was missing", a.in, a.out, missing)
	}
}

// missing is how much of the image the target lacks, ingests counted as there
// where they are resumed.
func (w *world) missing(verb string) float64 {
	to := w.target(verb)
	var lacks int64
	for d, size := range w.blobs {
		if d == w.image.Digest {
			continue
		}
		if _, err := to.Info(context.Background(), d); err != nil {
			lacks += size
		}
	}
	if verb == "pull" {
		for st, err := range to.Active(context.Background()) {
			w.must(err)
			lacks -= st.Offset
		}
	}
	return float64(lacks) / float64(w.size())
}
