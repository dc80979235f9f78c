package budgets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/content"
	"dist.example/fsys"
)

var errWouldWait = errors.New("it would wait")

// stopped is a clock that stands where it is put. Who sleeps gets an error.
type stopped struct {
	mu  sync.Mutex
	now time.Time
}

func newStopped() *stopped { return &stopped{now: time.Unix(1_000_000, 0)} }

func (c *stopped) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stopped) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *stopped) Sleep(context.Context, time.Duration) error { return errWouldWait }

// share opens the budgets in dir as one more process would.
func share(t *testing.T, dir string, o Options) *Set {
	t.Helper()
	o.Dirs = func() []string { return []string{dir} }
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// drain takes bytes, one after the other, until it would have to wait.
func drain(t *testing.T, h *Host) (n int64) {
	t.Helper()
	for {
		err := h.Bytes(t.Context(), 1)
		if errors.Is(err, errWouldWait) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// grants is who got how much when.
type grants struct {
	mu  sync.Mutex
	all []grant
}

type grant struct {
	at time.Time
	n  int64
}

func (g *grants) add(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, grant{time.Now(), n})
}

// check compares every span of time that begins and ends with a grant with what
// the rate allows: rate × span, and one burst. Of all spans that end with a grant
// the worst is the one from where least had been granted for its time.
func (g *grants) check(t *testing.T, rate int64) (total int64) {
	t.Helper()
	burst := rate * int64(newPace(Frequency{rate, time.Second}).burst)
	began, worst := g.all[0].at, int64(0)
	for _, one := range g.all {
		allowed := rate * int64(one.at.Sub(began)) // in bytes × nanoseconds a second
		worst = max(worst, allowed-total*int64(time.Second))
		total += one.n
		if over := total*int64(time.Second) - allowed + worst - burst; over > 0 {
			t.Fatalf("after %s there are %.1f bytes too many in some span", one.at.Sub(began), float64(over)/1e9)
		}
	}
	return total
}

func TestTenHandlesKeepToOneRate(t *testing.T) {
	for _, rate := range []int64{1000, 999_983, 50 << 20} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var (
					got   grants
					wg    sync.WaitGroup
					began = time.Now()
				)
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				for i := range 10 {
					h := share(t, dir, Options{Limits: Limits{Rate: rate}}).Host("registry.example")
					random := rand.New(rand.NewPCG(uint64(i), uint64(rate)))
					wg.Go(func() {
						for {
							n := 1 + random.Int64N(h.set.bytes.grain) // one grant each
							if h.Bytes(ctx, int(n)) != nil {
								return
							}
							got.add(n)
							if random.IntN(4) == 0 { // the reader has other things to do
								time.Sleep(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
							}
						}
					})
				}
				wg.Wait()
				total := got.check(t, rate)
				if all := float64(rate) * time.Since(began).Seconds(); float64(total) < 0.9*all {
					t.Errorf("%d bytes were granted where %.0f were to be had", total, all)
				}
			})
		})
	}
}

func TestGrantsOfMoreThanABurstAreDividedOverTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const rate = 1 << 20
		var wg sync.WaitGroup
		began := time.Now()
		for range 10 {
			h := share(t, dir, Options{Limits: Limits{Rate: rate}}).Host("registry.example")
			wg.Go(func() {
				if err := h.Bytes(t.Context(), 1<<20); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took < 10*time.Second-window || took > 11*time.Second {
			t.Errorf("10 MiB at 1 MiB a second took %s", took)
		}
	})
}

func TestWhatWaitsHoldsNothing(t *testing.T) {
	dir, clock := t.TempDir(), newStopped()
	limits := Options{Limits: Limits{Rate: 4000}, Clock: clock}
	first := share(t, dir, limits).Host("a")
	if n := drain(t, first); n != 1000 {
		t.Fatalf("the burst is %d, want 1000", n)
	}
	// Each of these waits and is dropped, as if its process had died.
	for range 50 {
		s := share(t, dir, limits)
		if err := s.Host("a").Bytes(t.Context(), 500); !errors.Is(err, errWouldWait) {
			t.Fatalf("got %v", err)
		}
		s.Close()
	}
	clock.move(100 * time.Millisecond)
	if n := drain(t, first); n != 400 {
		t.Errorf("%d bytes after a tenth of a second, want 400: those who waited took some", n)
	}
}

func TestHostsHaveBudgetsOfTheirOwn(t *testing.T) {
	s := share(t, t.TempDir(), Options{Limits: Limits{Rate: 4000}, Clock: newStopped()})
	for _, host := range []string{"a.example", "b.example", "b.example:5000", "[::1]:5000"} {
		if n := drain(t, s.Host(host)); n != 1000 {
			t.Errorf("%s: %d bytes, want 1000", host, n)
		}
	}
	if s.Host("A.example") != s.Host("a.example") {
		t.Error("upper case makes another host")
	}
}

func TestRequestsAndBytesHaveMetersOfTheirOwn(t *testing.T) {
	clock := newStopped()
	h := share(t, t.TempDir(), Options{Limits: Limits{Rate: 4000, Requests: Frequency{6, time.Minute}}, Clock: clock}).Host("a")
	for i, want := range []error{nil, errWouldWait} {
		if err := h.Request(t.Context()); !errors.Is(err, want) {
			t.Fatalf("request %d: %v, want %v", i, err, want)
		}
	}
	if n := drain(t, h); n != 1000 {
		t.Errorf("%d bytes, want 1000", n)
	}
	clock.move(10 * time.Second)
	if err := h.Request(t.Context()); err != nil {
		t.Errorf("ten seconds later: %v", err)
	}
}

// Each process counts with its own rate: half of what the fast one may have is
// left when the slow one has used half of the time.
func TestDifferentRatesShareOneFile(t *testing.T) {
	dir, clock := t.TempDir(), newStopped()
	slow := share(t, dir, Options{Limits: Limits{Rate: 4000}, Clock: clock}).Host("a")
	fast := share(t, dir, Options{Limits: Limits{Rate: 40_000}, Clock: clock}).Host("a")
	if err := slow.Bytes(t.Context(), 500); err != nil {
		t.Fatal(err)
	}
	if n := drain(t, fast); n != 5000 {
		t.Errorf("%d bytes are left for the fast one, want 5000", n)
	}
}

func TestForeignAndTornFilesCountAsFresh(t *testing.T) {
	written := (&state{bytes: meter{1, window}}).encode()
	late := (&state{bytes: meter{1_000_000_000_000_000, 1 << 62}, requests: meter{-5, -3}}).encode()
	for name, p := range map[string]string{
		"empty": "", "short": string(written[:20]), "a text": strings.Repeat("these are no numbers ", 10),
		"a flipped bit": string(written[:10]) + "\xff" + string(written[11:]), "zeros": string(make([]byte, 48)),
		"a debt beyond reason": string(late),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte(p), 0o644); err != nil {
			t.Fatal(err)
		}
		limits := Options{Limits: Limits{Rate: 4000}, Clock: newStopped()}
		if n := drain(t, share(t, dir, limits).Host("a")); n != 1000 {
			t.Errorf("%s: %d bytes, want 1000", name, n)
		}
		if n := drain(t, share(t, dir, limits).Host("a")); n != 0 {
			t.Errorf("%s: the file was not made good: another handle has %d bytes", name, n)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add((&state{meter{5, 6}, meter{7, 8}}).encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		s := decode(p)
		for _, m := range []meter{s.bytes, s.requests} {
			late := m
			if late.settle(1 << 62); late.debt < 0 || late.debt > m.debt {
				t.Fatalf("%+v becomes %+v", m, late)
			}
			if m.debt < 0 || m.debt > maxDebt {
				t.Fatalf("%+v", m)
			}
		}
		if got := decode(s.encode()); got != s {
			t.Fatalf("%+v became %+v", s, got)
		}
	})
}

// Whatever the clock does, a wait is no longer than what was owed, and a jump
// gives at most one burst away.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-time.Second, -24 * time.Hour, -240 * time.Hour, 24 * time.Hour, 100 * 365 * 24 * time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			dir, clock := t.TempDir(), newStopped()
			limits := Options{Limits: Limits{Rate: 4000}, Clock: clock}
			h, other := share(t, dir, limits).Host("a"), share(t, dir, limits).Host("a")
			drain(t, h)
			clock.move(jump)
			most := int64(0)
			if jump > 0 {
				most = 1000
			}
			if n := drain(t, other); n != most {
				t.Errorf("%d bytes right after the jump, want %d", n, most)
			}
			clock.move(window)
			if n := drain(t, h); n != 1000 {
				t.Errorf("%d bytes a window later, want 1000", n)
			}
			clock.move(-jump) // and back again
			clock.move(window)
			drain(t, h)
			clock.move(window)
			if n := drain(t, other); n != 1000 {
				t.Errorf("%d bytes after the clock was put right, want 1000", n)
			}
		})
	}
}

func TestNoLimitOpensNoFile(t *testing.T) {
	s, err := New(Options{Dirs: func() []string { t.Error("a folder was asked for"); return nil }})
	if s != nil || err != nil {
		t.Fatalf("%v, %v", s, err)
	}
	h := s.Host("a")
	if err := errors.Join(h.Bytes(t.Context(), 1<<30), h.Request(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
	if slot, err := s.Connect(t.Context(), "a", nil); slot != nil || err != nil {
		t.Errorf("%v, %v", slot, err)
	}
	(*Slot)(nil).Release()
	if p := h.Part(make([]byte, 99)); len(p) != 99 {
		t.Errorf("reads are cut to %d", len(p))
	}
}

func TestLimitsThatAreNone(t *testing.T) {
	for _, l := range []Limits{{Rate: -1}, {Connections: -1}, {Requests: Frequency{-1, time.Second}}, {Requests: Frequency{1, 0}}, {Requests: Frequency{1, time.Hour}}} {
		if _, err := New(Options{Limits: l}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := share(t, dir, Options{Limits: Limits{Rate: 1, Requests: Frequency{1, time.Minute}, Connections: 1}})
		h, enough := s.Host("a"), errors.New("enough")
		slot, err := s.Connect(t.Context(), "a", nil)
		if err := errors.Join(err, h.Bytes(t.Context(), 1), h.Request(t.Context())); err != nil {
			t.Fatal(err)
		}
		defer slot.Release()
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for range 3 { // some wait for their turn, some for time
			wg.Go(func() {
				if err := h.Bytes(ctx, 1000); !errors.Is(err, enough) {
					t.Errorf("bytes: %v", err)
				}
			})
			wg.Go(func() {
				if err := h.Request(ctx); !errors.Is(err, enough) {
					t.Errorf("request: %v", err)
				}
			})
			wg.Go(func() {
				if _, err := s.Connect(ctx, "a", nil); !errors.Is(err, enough) {
					t.Errorf("connection: %v", err)
				}
			})
		}
		synctest.Wait()
		cancel(enough)
		wg.Wait()
	})
}

func TestLongWaitsAreTold(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := share(t, dir, Options{
			Limits: Limits{Rate: 100, Requests: Frequency{6, time.Minute}, Connections: 1},
			Warn:   func(msg string) { told = append(told, msg) },
		})
		h, ctx := s.Host("reg.example"), t.Context()
		if err := errors.Join(h.Request(ctx), h.Bytes(ctx, 2000)); err != nil || len(told) > 0 {
			t.Fatalf("%v; told %q", err, told)
		}
		if err := errors.Join(h.Request(ctx), h.Request(ctx)); err != nil || len(told) != 1 || !strings.Contains(told[0], "a request to reg.example waits") {
			t.Fatalf("%v; told %q", err, told)
		}
		slot, err := s.Connect(ctx, "reg.example", nil)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, slot.Release)
		again, err := s.Connect(ctx, "reg.example", nil)
		if err != nil || len(told) != 2 || !strings.Contains(told[1], "a connection to reg.example waits") {
			t.Fatalf("%v; told %q", err, told)
		}
		again.Release()
	})
}

func TestWithoutAFileAProcessKeepsItsLimitsAlone(t *testing.T) {
	notFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notFolder, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var told []string
	s := share(t, notFolder, Options{
		Limits: Limits{Rate: 4000, Connections: 2}, Clock: newStopped(),
		Warn: func(msg string) { told = append(told, msg) },
	})
	for _, host := range []string{"a", "b"} {
		if n := drain(t, s.Host(host)); n != 1000 {
			t.Errorf("%s: %d bytes, want 1000", host, n)
		}
	}
	checkSlots(t, s, s)
	if len(told) != 1 || !strings.Contains(told[0], "by this command alone") {
		t.Errorf("told %q, want one line", told)
	}
}

func TestTheNextFolderIsTakenWhereTheFirstCannotBe(t *testing.T) {
	dir := t.TempDir()
	notFolder := filepath.Join(dir, "file")
	if err := os.WriteFile(notFolder, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{
		Limits: Limits{Rate: 4000}, Clock: newStopped(),
		Dirs: func() []string { return []string{notFolder, filepath.Join(dir, "deep", "state")} },
		Warn: func(msg string) { t.Errorf("told %q", msg) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	drain(t, s.Host("reg.example:5000"))
	if fi, err := os.Stat(filepath.Join(dir, "deep", "state", "reg.example_5000")); err != nil || fi.Size() != stateSize {
		t.Errorf("%v, %v", fi, err)
	}
}

// checkSlots takes two slots, one of each Set, and finds that there is no third
// until one of them is given back.
func checkSlots(t *testing.T, a, b *Set) {
	t.Helper()
	ctx := t.Context()
	one, err := a.Connect(ctx, "a", nil)
	two, err2 := b.Connect(ctx, "a", nil)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	other, err := a.Connect(ctx, "elsewhere", nil)
	if err != nil {
		t.Errorf("another host: %v", err)
	}
	other.Release()
	waited := 0
	if _, err := b.Connect(ctx, "a", func() { waited++ }); !errors.Is(err, errWouldWait) || waited != 1 {
		t.Errorf("a third connection: %v, %d calls", err, waited)
	}
	one.Release()
	one.Release()
	three, err := b.Connect(ctx, "a", nil)
	if err != nil {
		t.Errorf("after one was given back: %v", err)
	}
	if _, err := a.Connect(ctx, "a", nil); !errors.Is(err, errWouldWait) {
		t.Errorf("given back twice, it counts twice: %v", err)
	}
	two.Release()
	three.Release()
}

func TestConnectionsAreCountedAcrossHandles(t *testing.T) {
	dir := t.TempDir()
	limits := Options{Limits: Limits{Connections: 2}, Clock: newStopped()}
	checkSlots(t, share(t, dir, limits), share(t, dir, limits))
}

func TestWaitingForAConnectionIsBounded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := share(t, dir, Options{Limits: Limits{Connections: 1}})
		slot, err := s.Connect(t.Context(), "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer slot.Release()
		_, err = s.Connect(t.Context(), "a", nil)
		if !errors.Is(err, content.ErrUnavailable) || content.Hint(err) == "" {
			t.Errorf("got %v, want ErrUnavailable with a hint", err)
		}
	})
}

func TestSomebodyWhoSitsOnTheFile(t *testing.T) {
	dir := t.TempDir()
	f, err := fsys.OS().OpenFile(filepath.Join(dir, "a"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := f.TryLock(true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	h := share(t, dir, Options{Limits: Limits{Rate: 4000}}).Host("a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Bytes(ctx, 1) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
