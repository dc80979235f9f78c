package cmd

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// lateCollection is in percent, as GOGC has it: with it the heap is collected for the first
// time when it has 16 MiB, four times what it has else.
const lateCollection = 400

// collectLateOnce is for a process that runs several commands.
var collectLateOnce = sync.OnceFunc(collectLate)

// collectLate has the first collection of garbage wait. Most commands have ended before it
// then, and take some milliseconds less. Once it has ended, garbage is collected as ever.
func collectLate() {
	if os.Getenv("GOGC") != "" {
		return // somebody has said it
	}
	usual := debug.SetGCPercent(lateCollection)
	// Of objects that are smaller and have no pointers, some share one place, and live as
	// long as any of them.
	runtime.AddCleanup(new([64]byte), func(usual int) { debug.SetGCPercent(usual) }, usual)
}
