package content

import (
	"context"
	"iter"
	"time"

	"dist.example/oci"
)

// PartReader reads what ingests have so far, so that content can be passed on
// while it comes in.
type PartReader interface {
	// Part opens what has come of the ingest with key, which may be under way, here
	// or in another process, or left behind. What comes meanwhile can be read too:
	// io.EOF says that there is no more for now, and Size is how much there was when
	// it was opened. Nothing of it is verified, and where the ingest begins again
	// from nothing the bytes may be of two tries, or no more may come: whoever reads
	// to the end has to compare the whole with its digest. Once the ingest is
	// committed, what was opened can still be read. Errors: ErrNotFound.
	Part(ctx context.Context, key string) (ReaderAt, error)
}

// Sighting is what a registry said last that one of its tags stands for.
type Sighting struct {
	Reference oci.Reference  // registry/repository:tag
	Target    oci.Descriptor // media type, digest and size; need not be held
	At        time.Time      // when it was said, in whole milliseconds
}

// Sightings remembers what registries said of their tags, for all processes of a
// store and the next ones. It says nothing about what is held, and keeps nothing: a
// store that loses it only asks again.
type Sightings interface {
	// Sighted is the last sighting of ref. Errors: ErrNotFound.
	Sighted(ctx context.Context, ref oci.Reference) (Sighting, error)
	// SightingsOf lists the tags of repo (registry/path) that were last seen to stand
	// for d, ordered by tag.
	SightingsOf(ctx context.Context, repo string, d oci.Digest) iter.Seq2[Sighting, error]
	// NoteSighting takes the place of an earlier sighting of the same reference.
	NoteSighting(ctx context.Context, s Sighting) error
	// ForgetSighting is for a tag that is gone. One that was never seen is no error.
	ForgetSighting(ctx context.Context, ref oci.Reference) error
}
