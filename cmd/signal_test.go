package cmd

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignalsAtOnceAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, signal := context.WithCancel(t.Context())
		var givenBack atomic.Bool
		giveBackSignals(ctx, func() { givenBack.Store(true) })
		look := func(why string, want bool) {
			t.Helper()
			synctest.Wait()
			if got := givenBack.Load(); got != want {
				t.Errorf("%s: the system handles signals: %v, want %v", why, got, want)
			}
		}
		time.Sleep(time.Hour)
		look("before any signal", false)
		signal()
		look("after the first", false)
		time.Sleep(signalGrace - time.Millisecond)
		look("half a second later, nearly", false)
		time.Sleep(time.Millisecond)
		look("half a second later", true)
	})
}
