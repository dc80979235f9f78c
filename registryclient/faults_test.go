package registryclient_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A row of a fault may take so long, and the whole process may have so much
// memory in use meanwhile: both registries, all stores and the client together.
const (
	rowDeadline = 30 * time.Second
	rowMemory   = 64 << 20
)

// TestFaults lets every verb meet every fault, and prints what came of it: with
// -v, a table of one row for each.
func TestFaults(t *testing.T) {
	var table results
	peak := watchMemory(t)
	t.Run("rows", func(t *testing.T) {
		for _, f := range faults() {
			for verb := range strings.FieldsSeq(f.verbs) {
				ways := []bool{false}
				if f.both && verb != "push" && verb != "tags" {
					ways = []bool{false, true}
				}
				for _, stream := range ways {
					name := f.name + "/" + verb
					if stream {
						name += " in one stream"
					}
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						meet(t, f, verb, stream, &table)
					})
				}
			}
		}
		for _, verb := range []string{"pull", "push", "copy"} {
			t.Run("killed at 70 %, run again/"+verb, func(t *testing.T) {
				t.Parallel()
				killed(t, verb, &table)
			})
		}
	})
	t.Log(table.String())
	if got := peak(); got > rowMemory {
		t.Errorf("%d MiB were in use, want at most %d", got>>20, rowMemory>>20)
	}
}

// meet lets one verb meet one fault.
func meet(t *testing.T, f fault, verb string, stream bool, table *results) {
	s := f.with
	s.stream = stream
	w := newWorld(t, s)
	defer w.close()
	w.think = f.think
	if verb == "push" {
		w.hold(w.local)
	}
	f.set(w)
	ctx, cancel := context.WithTimeout(context.Background(), rowDeadline)
	defer cancel()
	start := time.Now()
	err := w.run(ctx, verb)
	took := time.Since(start)
	a := w.account()
	table.add(t.Name(), err, a, took)

	if !errors.Is(err, f.class) {
		t.Errorf("it ended in %v, want %v", err, f.class)
	}
	if ctx.Err() != nil || took < f.least {
		t.Errorf("it took %s", took)
	}
	w.discreet()
	w.bounded(f, verb, a)
	if f.check != nil {
		f.check(w)
	}
	switch {
	case f.class == nil && err == nil:
		w.whole(verb)
	case !f.keeps:
		w.nothing(verb)
	}
}

// bounded checks what went over the wire.
func (w *world) bounded(f fault, verb string, a account) {
	w.t.Helper()
	in, out := cmp.Or(f.in, 1), cmp.Or(f.out, 1)
	if verb == "copy" {
		// Which request is the first to learn that a token is dead is a matter of time.
		in = max(in, f.back) + w.refused()
	}
	const rounding = 1e-9
	if a.in > in+rounding || a.out > out+rounding {
		w.t.Errorf("%.4f of the image came and %.4f of it went, want at most %.2f and %.2f", a.in, a.out, in, out)
	}
	if most := cmp.Or(f.most, 50); a.requests > most {
		w.t.Errorf("%d requests, want at most %d", a.requests, most)
	}
}

// watchMemory looks at the heap until the test ends; what is returned tells the
// most that was seen.
func watchMemory(t *testing.T) func() uint64 {
	var (
		mu   sync.Mutex
		peak uint64
	)
	look := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		mu.Lock()
		defer mu.Unlock()
		peak = max(peak, s[0].Value.Uint64())
		return peak
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				look()
			}
		}
	}()
	return look
}

// results is the table that the test prints.
type results struct {
	mu   sync.Mutex
	rows []string
}

func (r *results) add(name string, err error, a account, took time.Duration) {
	outcome := "whole"
	if err != nil {
		outcome = classOf(err)
	}
	_, name, _ = strings.Cut(name, "rows/")
	name, verb, _ := strings.Cut(strings.ReplaceAll(name, "_", " "), "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, fmt.Sprintf("%-50s %-19s %-22s %5d  %5.2f  %5.2f  %6.2f", name, verb, outcome, a.requests, a.in, a.out, took.Seconds()))
}

func (r *results) String() string {
	slices.Sort(r.rows)
	head := fmt.Sprintf("%-50s %-19s %-22s %5s  %5s  %5s  %6s", "fault", "verb", "outcome", "tries", "in", "out", "s")
	return fmt.Sprintf("%d rows; tries are requests, in and out are bytes of blobs on the wire over those of the image\n%s\n%s",
		len(r.rows), head, strings.Join(r.rows, "\n"))
}
