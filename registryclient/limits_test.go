package registryclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dist.example/budgets"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

// patient is a clock on which time passes only while somebody sleeps, and then at
// once.
type patient struct {
	mu    sync.Mutex
	now   time.Time
	slept time.Duration
}

func (c *patient) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *patient) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.slept = c.now.Add(d), c.slept+d
	return context.Cause(ctx)
}

func (c *patient) total() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slept
}

func limited(t *testing.T, l budgets.Limits, clock budgets.Clock) *budgets.Set {
	t.Helper()
	dir := t.TempDir()
	s, err := budgets.New(budgets.Options{
		Limits: l, Clock: clock, Dirs: func() []string { return []string{dir} },
		Warn: func(msg string) { t.Logf("told %q", msg) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func clientWith(t *testing.T, s *budgets.Set, change func(*registryclient.Options)) *registryclient.Client {
	t.Helper()
	o := registryclient.Options{
		HostsDirs: []string{}, CertDirs: []string{}, NoAuthFiles: true, RetryBase: time.Millisecond, Budgets: s,
		Window: registryclient.Window{SegmentBytes: 64 << 10, Enough: -1},
	}
	if change != nil {
		change(&o)
	}
	c, err := registryclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func repository(t *testing.T, c *registryclient.Client, name string) *registryclient.Repository {
	t.Helper()
	ref, err := oci.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Repository(ref)
}

func blobOf(data []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: oci.DigestBytes(data), Size: int64(len(data))}
}

const (
	testRate  = 100_000
	testBytes = 400_000
	// What testBytes have to take, but for a burst of a quarter of a second.
	leastTime = testBytes*time.Second/testRate - 250*time.Millisecond
)

func TestRateHoldsForWhatIsFetched(t *testing.T) {
	reg, clock := registrytest.New(t, registrytest.Options{}), new(patient)
	data := registrytest.Bytes(1, testBytes)
	desc := reg.PutBlob(oci.MediaTypeOctets, data)
	r := repository(t, clientWith(t, limited(t, budgets.Limits{Rate: testRate}, clock), nil), reg.Ref("app"))
	rc, err := r.Fetch(t.Context(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	got, err := io.ReadAll(rc)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if clock.total() < leastTime || clock.total() > leastTime+time.Second {
		t.Errorf("%d bytes at %d a second took %s", testBytes, testRate, clock.total())
	}
	if n := reg.Count(registrytest.Match{Digest: desc.Digest}); n != 1 {
		t.Errorf("%d requests for one blob under a limit, want 1", n)
	}
}

// A file, too, pays byte for byte: the kernel may not send it by itself.
func TestRateHoldsForWhatIsPushed(t *testing.T) {
	data := registrytest.Bytes(1, testBytes)
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for kind, from := range map[string]io.Reader{"a file": file, "bytes": bytes.NewReader(data), "a stream": io.MultiReader(bytes.NewReader(data))} {
		reg, clock := registrytest.New(t, registrytest.Options{}), new(patient)
		r := repository(t, clientWith(t, limited(t, budgets.Limits{Rate: testRate}, clock), nil), reg.Ref("app"))
		if err := r.Push(t.Context(), blobOf(data), from); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if clock.total() < leastTime || clock.total() > leastTime+time.Second {
			t.Errorf("%s: %d bytes at %d a second took %s", kind, testBytes, testRate, clock.total())
		}
	}
}

// Both directions share the rate, and so do two clients with the same files.
func TestRateIsOneForAll(t *testing.T) {
	reg, clock := registrytest.New(t, registrytest.Options{}), new(patient)
	data := registrytest.Bytes(1, testBytes)
	desc, other := reg.PutBlob(oci.MediaTypeOctets, data), registrytest.Bytes(2, testBytes)
	dir := t.TempDir()
	for range 2 {
		s, err := budgets.New(budgets.Options{Limits: budgets.Limits{Rate: testRate}, Clock: clock, Dirs: func() []string { return []string{dir} }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := repository(t, clientWith(t, s, nil), reg.Ref("app"))
		if _, err := content.ReadAll(t.Context(), r, desc, testBytes); err != nil {
			t.Fatal(err)
		}
		if err := r.Push(t.Context(), blobOf(other), bytes.NewReader(other)); err != nil {
			t.Fatal(err)
		}
	}
	if least := 4*testBytes*time.Second/testRate - 250*time.Millisecond; clock.total() < least {
		t.Errorf("four times %d bytes took %s, want %s", testBytes, clock.total(), least)
	}
}

func TestEveryRequestCountsTokensToo(t *testing.T) {
	reg, clock := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{Bearer: true, Uses: 1}}), new(patient)
	data := registrytest.Bytes(1, 100)
	desc := reg.PutBlob(oci.MediaTypeOctets, data)
	limits := budgets.Limits{Requests: budgets.Frequency{N: 30, Per: time.Minute}}
	c := clientWith(t, limited(t, limits, clock), nil)
	r := repository(t, c, reg.Ref("app"))
	for range 3 {
		if _, err := content.ReadAll(t.Context(), r, desc, 1000); err != nil {
			t.Fatal(err)
		}
	}
	n := len(reg.Requests())
	if s := c.Stats(); s.TokenRequests == 0 || int64(n) != s.Requests+s.TokenRequests {
		t.Fatalf("%d requests, counted %+v", n, s)
	}
	if want := time.Duration(n-1) * 2 * time.Second; clock.total() != want {
		t.Errorf("%d requests at one in two seconds took %s, want %s", n, clock.total(), want)
	}
}

// Interrupting a transfer that waits for its rate ends it at once.
func TestAWaitForTheRateCanBeInterrupted(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	desc := reg.PutBlob(oci.MediaTypeOctets, registrytest.Bytes(1, testBytes))
	r := repository(t, clientWith(t, limited(t, budgets.Limits{Rate: 1}, nil), nil), reg.Ref("app"))
	ctx, cancel := context.WithCancel(t.Context())
	rc, err := r.Fetch(ctx, desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := rc.Read(make([]byte, 1)); err != nil { // the burst
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	if n, err := io.Copy(io.Discard, rc); !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestParallelFetchesKeepToTheirConnections(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	dir := t.TempDir()
	share := func(clock budgets.Clock) *budgets.Set {
		s, err := budgets.New(budgets.Options{Limits: budgets.Limits{Connections: 2}, Clock: clock, Dirs: func() []string { return []string{dir} }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	c := clientWith(t, share(nil), nil)
	r := repository(t, c, reg.Ref("app"))
	// The first request of all goes alone, to learn how the registry wants to be asked.
	if _, err := content.ReadAll(t.Context(), r, reg.PutBlob(oci.MediaTypeOctets, []byte("first")), 1<<20); err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	reg.Before(func(*http.Request) { arrived <- struct{}{}; <-release })
	var wg sync.WaitGroup
	for i := range uint64(12) {
		data := registrytest.Bytes(i, 200_000)
		desc := reg.PutBlob(oci.MediaTypeOctets, data)
		wg.Go(func() {
			if got, err := content.ReadAll(t.Context(), r, desc, 1<<20); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	<-arrived
	<-arrived
	// Both are in use now, and nobody else gets a third.
	if _, err := share(impatient{}).Connect(t.Context(), reg.Host, nil); !errors.Is(err, errImpatient) {
		t.Errorf("a third connection: %v", err)
	}
	close(release)
	wg.Wait()
	// What nobody uses any more is given back.
	c.CloseIdle()
	for range 2 {
		slot, err := share(nil).Connect(t.Context(), reg.Host, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer slot.Release()
	}
}

var errImpatient = errors.New("no waiting")

// impatient is a clock that nobody can sleep by.
type impatient struct{}

func (impatient) Now() time.Time                             { return time.Now() }
func (impatient) Sleep(context.Context, time.Duration) error { return errImpatient }

// A connection that the process keeps for another registry's name is given up for
// the one that is needed.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	reg, dir := registrytest.New(t, registrytest.Options{}), t.TempDir()
	desc := reg.PutBlob(oci.MediaTypeOctets, registrytest.Bytes(1, 1000))
	conf := filepath.Join(dir, "other.example")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(conf, "hosts.toml"), []byte("server = \""+reg.URL+"\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := clientWith(t, limited(t, budgets.Limits{Connections: 1}, nil), func(o *registryclient.Options) { o.HostsDirs = []string{dir} })
	for _, name := range []string{reg.Ref("app"), "other.example/app", reg.Ref("app")} {
		if _, err := content.ReadAll(t.Context(), repository(t, c, name), desc, 1000); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// Waiting for the right to a connection is no stall.
func TestAWaitForAConnectionIsNoStall(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Options{})
	desc := reg.PutBlob(oci.MediaTypeOctets, registrytest.Bytes(1, 1000))
	s := limited(t, budgets.Limits{Connections: 1}, nil)
	slot, err := s.Connect(t.Context(), reg.Host, nil)
	if err != nil {
		t.Fatal(err)
	}
	const stall = 2 * time.Second // more than any answer takes
	time.AfterFunc(stall+stall/2, slot.Release)
	r := repository(t, clientWith(t, s, func(o *registryclient.Options) { o.StallTimeout, o.Retries = stall, -1 }), reg.Ref("app"))
	if _, err := r.StatBlob(t.Context(), desc.Digest); err != nil {
		t.Error(err)
	}
}
