package content

import "dist.example/oci"

// EventKind says what happened to a blob.
type EventKind int

// The life of a blob in a Copy: started (perhaps in the middle), advanced any
// number of times, then finished, or failed; or reused and nothing else.
const (
	EventStarted EventKind = iota
	EventAdvanced
	EventFinished
	EventReused
	EventFailed
	// EventPlanned comes before all others in a Copy, for its root and for what a
	// manifest lists, so that it is known how much there is to do. It may come again.
	EventPlanned
)

// Event is one step of one blob. Offset counts the bytes that are at the target,
// Total the blob's size, -1 when it is not known. Content whose digest is not
// known yet has a Name in place of a Descriptor.
type Event struct {
	Kind       EventKind
	Descriptor oci.Descriptor
	Name       string
	Offset     int64
	Total      int64
}

// Observer is told what happens. It is called from several goroutines at once
// and must return quickly.
type Observer func(Event)
