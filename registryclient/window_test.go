package registryclient

import (
	"testing"
	"time"
)

// How fast one registry is says nothing about another one that the same command asks.
func TestTheRateOfOneRepositoryIsNotThatOfAnother(t *testing.T) {
	t.Parallel()
	c := &Client{opts: Options{Window: Window{Enough: 100 << 20}}}
	for _, at := range []struct {
		received int64
		quick    bool
	}{{4 << 20, false}, {10 << 40, true}} {
		r := &Repository{client: c}
		b := &blobReader{r: r, began: time.Now().Add(-time.Second), had: r.received.Load()}
		c.bytesIn.Add(10 << 40) // from all together
		r.received.Add(at.received)
		if b.judge(); r.quick.Load() != at.quick {
			t.Errorf("%d bytes in a second: quick is %v", at.received, r.quick.Load())
		}
	}
}
