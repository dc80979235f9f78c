package cmd

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// The first collection comes late, and brings back what was set before; who has set GOGC is
// not overruled.
func TestTheFirstCollectionComesLate(t *testing.T) {
	percent := func() int {
		now := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(now)
		return int(now[0].Value.Uint64())
	}
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	t.Setenv("GOGC", "70")
	if collectLate(); percent() != 70 {
		t.Fatalf("GOGC is overruled: %d", percent())
	}
	t.Setenv("GOGC", "")
	if collectLate(); percent() != lateCollection {
		t.Fatalf("it is %d%%", percent())
	}
	for range 100 {
		runtime.GC()
		if percent() == 70 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after collections it is %d%%", percent())
}
