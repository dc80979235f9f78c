package mirror

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
)

func nothing(context.Context) []oci.Digest { return nil }

// Each day has a lease of its own, which is released after a week.
func TestLeasesTakeTurns(t *testing.T) {
	store, now := memory.New(), time.Now()
	k := keeper{store: store, now: func() time.Time { return now }, gathered: nothing}
	leases := func() (n int) {
		t.Helper()
		for _, err := range store.AllLeases(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	use := func() string {
		t.Helper()
		id, done, err := k.use(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done()
		return id
	}
	first := use()
	if k.has("a") || !k.has("a") {
		t.Error("a is under the first lease from the first time on")
	}
	now = now.Add(23 * time.Hour)
	if use() != first || !k.has("a") {
		t.Error("within the day the lease changed")
	}
	now = now.Add(2 * time.Hour)
	if use() == first || k.has("a") {
		t.Error("the next day the lease is the same, or has what the first one had")
	}
	for range 20 {
		now = now.Add(25 * time.Hour)
		use()
	}
	if n := leases(); n > 7 {
		t.Errorf("%d leases are kept, want a week's", n)
	}
}

// A lease that is shed lasts until nobody writes under it any more; the last one makes
// place for another.
func TestLeasesAreShedOldestFirst(t *testing.T) {
	store, now := memory.New(), time.Now()
	k := keeper{store: store, now: func() time.Time { return now }, gathered: nothing}
	use := func() (string, func()) {
		t.Helper()
		id, done, err := k.use(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return id, done
	}
	old, oldDone := use()
	now = now.Add(25 * time.Hour)
	middle, done := use()
	done()
	shed := make(chan error, 1)
	go func() {
		more, err := k.shed(t.Context())
		if err == nil && !more {
			err = errors.New("there is no more")
		}
		shed <- err
	}()
	for k.count() > 1 {
		time.Sleep(time.Millisecond)
	}
	if err := store.Hold(t.Context(), old); err != nil {
		t.Errorf("the lease of who writes is gone: %v", err)
	}
	select {
	case err := <-shed:
		t.Errorf("shed does not wait for who writes: %v", err)
	default:
	}
	oldDone()
	if err := <-shed; err != nil {
		t.Errorf("with two leases shed says %v", err)
	}
	if err := store.Hold(t.Context(), old); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("when he is done the oldest lease is still there: %v", err)
	}
	if more, err := k.shed(t.Context()); more || err != nil {
		t.Errorf("with the last lease shed says %v, %v", more, err)
	}
	if err := store.Hold(t.Context(), middle); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("the last lease is still there: %v", err)
	}
	if newest, done := use(); newest == middle {
		t.Error("the last lease did not make place for another")
	} else {
		done()
	}
}

func TestWhatTheNewestLeaseHasIsBounded(t *testing.T) {
	k := keeper{store: memory.New(), now: time.Now}
	for i := range 2 * maxMoved {
		k.has(strconv.Itoa(i))
	}
	if len(k.moved) > maxMoved {
		t.Errorf("%d ingests are remembered", len(k.moved))
	}
}

func TestACacheForgetsWhatIsOldOrTooMuch(t *testing.T) {
	c, now := cache[int]{limit: 2}, time.Now()
	c.put("a", 1, 1, now)
	if v, ok := c.young("a", now.Add(time.Second), time.Minute); !ok || v != 1 {
		t.Errorf("it is %d, %v", v, ok)
	}
	for _, at := range []time.Time{now.Add(time.Minute), now.Add(-time.Second)} {
		if _, ok := c.young("a", at, time.Minute); ok {
			t.Errorf("what was put at %v is young at %v", now, at)
		}
	}
	c.put("b", 2, 1, now)
	c.put("c", 3, 1, now)
	if len(c.entries) > 2 {
		t.Errorf("%d entries, the limit is 2", len(c.entries))
	}
	if got, ok := c.get("c"); !ok || got.value != 3 {
		t.Errorf("the last one is %v, %v", got.value, ok)
	}
	c.put("c", 4, 2, now)
	c.put("d", 5, 1, now)
	if _, ok := c.get("c"); ok || c.size != 1 {
		t.Errorf("all together have the size %d, the limit is 2", c.size)
	}
}

func (k *keeper) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.leases)
}
