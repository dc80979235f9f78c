package mirror

import (
	"sync"
	"time"
)

// cache remembers answers, up to limit of their sizes together. When there is more it
// begins anew: what is lost is asked for again.
type cache[V any] struct {
	limit int

	mu      sync.Mutex
	entries map[string]cached[V]
	size    int
}

type cached[V any] struct {
	value V
	size  int
	at    time.Time
}

func (c *cache[V]) put(key string, v V, size int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size -= c.entries[key].size
	if c.entries == nil || c.size+size > c.limit {
		c.entries, c.size = map[string]cached[V]{}, 0
	}
	c.entries[key] = cached[V]{v, size, now}
	c.size += size
}

func (c *cache[V]) get(key string) (cached[V], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, ok := c.entries[key]
	return got, ok
}

// young is what was put less than age ago.
func (c *cache[V]) young(key string, now time.Time, age time.Duration) (V, bool) {
	got, ok := c.get(key)
	if !ok || !within(got.at, now, age) {
		var none V
		return none, false
	}
	return got.value, true
}

// within says whether at was less than age ago; what is yet to be was not.
func within(at, now time.Time, age time.Duration) bool {
	since := now.Sub(at)
	return since >= 0 && since < age
}
