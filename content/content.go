package content

import (
	"context"
	"io"
	"iter"
	"time"

	"dist.example/oci"
)

// ReaderAt gives random access to one blob. It does not verify; it is for
// callers that do, or that need a part. Close is idempotent.
type ReaderAt interface {
	io.ReaderAt
	io.Closer
	// Size is the blob's whole length in bytes.
	Size() int64
}

// Provider opens content that is held.
type Provider interface {
	// ReaderAt opens the blob with desc's digest. Only the digest of desc is
	// looked at. Errors: ErrNotFound, ErrCorrupt for a blob known to be damaged.
	ReaderAt(ctx context.Context, desc oci.Descriptor) (ReaderAt, error)
}

// Fetcher streams content.
type Fetcher interface {
	// Fetch streams the blob with desc's digest from its first byte. The reader
	// reports ErrCorrupt in place of io.EOF when digest or size do not match;
	// a desc.Size of -1 means that the size is not known. The caller closes it.
	// Errors: ErrNotFound, ErrDenied, ErrUnavailable, ErrCorrupt.
	Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error)
}

// RangeFetcher is a Fetcher that can start in the middle.
type RangeFetcher interface {
	// FetchFrom streams the blob from byte offset on. Nothing is verified by the
	// reader but the length: whoever has the first part checks the whole. When
	// the source cannot start there, it returns ErrUnsupported and the caller
	// starts again from 0, which always works.
	FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error)
}

// StretchFetcher is a Fetcher that gives a part of a blob alone.
type StretchFetcher interface {
	// FetchStretch streams length bytes of the blob from byte offset on, and asks for
	// no more. Nothing is verified but the length. ErrUnsupported as FetchFrom.
	FetchStretch(ctx context.Context, desc oci.Descriptor, offset, length int64) (io.ReadCloser, error)
}

// Mixed is a reader of FetchFrom some of whose bytes the target had before, in a copy
// that is damaged elsewhere.
type Mixed interface {
	// Held counts the bytes so far that did not come from the source.
	Held() int64
}

// Resolver finds what a name stands for.
type Resolver interface {
	// Resolve returns media type, digest and size of what ref names.
	// Errors: ErrNotFound, ErrDenied, ErrUnavailable.
	Resolve(ctx context.Context, ref oci.Reference) (oci.Descriptor, error)
}

// Tagger gives names.
type Tagger interface {
	// Tag lets ref name desc, whatever it named before. What desc reaches must be
	// held already. Errors: ErrNotFound when something is missing, ErrDenied,
	// ErrUnavailable.
	Tag(ctx context.Context, desc oci.Descriptor, ref oci.Reference) error
}

// Pusher takes content.
type Pusher interface {
	// Exists says whether the target holds desc, sound. A target that accepts a
	// manifest only with everything it reaches (see Closed) vouches for all of it.
	Exists(ctx context.Context, desc oci.Descriptor) (bool, error)
	// Push stores the content of r as desc: all of it or nothing. It verifies
	// digest and size (ErrCorrupt). Pushing what is there is no error.
	Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error
}

// Source is where content comes from.
type Source interface {
	Resolver
	Fetcher
}

// Target is where content goes.
type Target interface {
	Pusher
	Tagger
}

// Closed is a Target that refuses a manifest whose children it lacks, as
// registries do. What lies below a manifest that exists there needs no look.
type Closed interface {
	Closed() bool
}

// Mounter is a Target that can take a blob from a neighbouring repository
// without the bytes moving.
type Mounter interface {
	// Mount asks for desc from repository from (host and path). False without an
	// error means that the blob has to be pushed.
	Mount(ctx context.Context, desc oci.Descriptor, from oci.Reference) (bool, error)
}

// IngestOptions say what is to be written.
type IngestOptions struct {
	// Key names the ingest for resuming and for mutual exclusion: one live ingest
	// per key. "" stands for a fresh key nobody else has; such an ingest cannot be
	// resumed, and closing it without Commit drops it.
	Key string
	// Expected is the digest that the content must have, "" when not known.
	Expected oci.Digest
	// Total is the size that the content must have, -1 when not known.
	Total int64
	// MediaType is kept with the object; of a manifest type the content is parsed
	// and its edges recorded.
	MediaType string
	// KeepType leaves an object that is held already the type that somebody gave it:
	// MediaType is what the caller takes it for, in a manifest of its own. Without it
	// the last word counts. A type that is a manifest's counts in any case.
	KeepType bool
	// Lease protects the object once it is committed; "" leaves it to the grace
	// period of garbage collection.
	Lease string
	// Source is the locator the bytes come from, "" for none (kept as provenance).
	Source string
	// Repository (registry/path) has the object as Pushed from its commit on, in the
	// same transaction; "" for none. Where Writer returns ErrExists nothing was
	// brought, and the object is put into no repository.
	Repository string
	// Again has the content written even when it is held, for who has to prove that
	// he has it: Writer does not return ErrExists, and Commit compares as ever, but
	// keeps what is held in place of what came.
	Again bool
}

// Status is where an ingest stands. Offset counts bytes accepted so far; Total
// is -1 and Expected "" when not known.
type Status struct {
	Key       string
	Offset    int64
	Total     int64
	Expected  oci.Digest
	MediaType string // that the content is to have, "" when not known
	StartedAt time.Time
	UpdatedAt time.Time
	// Live says that a Writer has the ingest open, in this process or another. Who
	// may not look at the owner's lock is told that there is one.
	Live bool
	PID  int // the live owner's process id, 0 when there is none
	// MarkedAt is when the ingest was opened or, later, had its last checkpoint, and
	// Marked the offset that it had then.
	Marked   int64
	MarkedAt time.Time
}

// stalled is how long nothing comes for an ingest before it is said so.
const stalled = 3 * time.Second

// Rate is bytes a second since MarkedAt. It is 0 for an ingest that nobody
// writes, and for one that nothing has come for in three seconds.
func (s Status) Rate(now time.Time) int64 {
	since := now.Sub(s.MarkedAt).Seconds()
	if !s.Live || since <= 0 || now.Sub(s.UpdatedAt) > stalled {
		return 0
	}
	return int64(float64(max(0, s.Offset-s.Marked)) / since)
}

// Writer writes one blob. It is not for concurrent use.
//
// Lifecycle: Writer → Write… → Commit, and Close in every case. A Writer that is
// closed without Commit leaves its ingest behind, to be resumed by the same key
// or given up with IngestManager.Abort.
type Writer interface {
	// Write appends. More bytes than Total: ErrCorrupt. Disk full: ErrNoSpace.
	io.Writer
	// Close releases the ingest and keeps its bytes. Idempotent; after Commit it
	// does nothing.
	io.Closer
	// Status says how far the ingest is; after opening a resumed ingest, Offset is
	// where the next Write continues.
	Status() Status
	// Reset throws the bytes written so far away.
	Reset() error
	// Commit makes the content visible and durable: all or nothing. It fails with
	// ErrCorrupt when digest or size are not what was expected, and nothing is
	// visible then. Committing what is there already is no error.
	Commit(ctx context.Context) (Info, error)
}

// Ingester accepts content.
type Ingester interface {
	// Writer opens an ingest, or goes on with the one that has opts.Key: Status
	// then tells the offset. While another process writes the same key, Writer
	// waits (until ctx ends). It returns ErrExists when opts.Expected is held and
	// sound, but for opts.Again; the object is then under opts.Lease. An ingest with the same key but
	// another expected digest or size: ErrConflict.
	Writer(ctx context.Context, opts IngestOptions) (Writer, error)
}

// IngestManager looks after ingests that are under way or left behind.
type IngestManager interface {
	// Status tells of one ingest. Errors: ErrNotFound.
	Status(ctx context.Context, key string) (Status, error)
	// Active lists ingests, ordered by key.
	Active(ctx context.Context) iter.Seq2[Status, error]
	// Abort drops an ingest and its bytes. Errors: ErrNotFound, ErrConflict while
	// a live process writes it.
	Abort(ctx context.Context, key string) error
}

// Info describes a blob that is held.
type Info struct {
	Digest    oci.Digest
	Size      int64
	MediaType string
	// Stored is what it takes on disk, at most Size where it is kept compressed.
	Stored int64
	// Place is "pack", "loose" or "memory"; "damaged" when its bytes were found
	// not to match.
	Place     string
	Committed time.Time
}

// Descriptor is i as a descriptor.
func (i Info) Descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: i.MediaType, Digest: i.Digest, Size: i.Size}
}

// Manager knows what is held.
type Manager interface {
	InfoReader
	// All lists everything held. Objects that no other holds come first, then by
	// depth, so that deleting in this order never meets a holder.
	All(ctx context.Context) iter.Seq2[Info, error]
	// Delete removes the given blobs, judged as one set: each must be held by
	// nothing outside of the set but names, and names on the set's own roots go
	// with it. Else ErrConflict and nothing is removed. A digest that is not held
	// is no error.
	Delete(ctx context.Context, digests ...oci.Digest) error
}

// Name is one name of a store.
type Name struct {
	Reference oci.Reference
	Target    oci.Descriptor
	Seq       int64 // grows with every change of any name
	UpdatedAt time.Time
	// Pinned names are never given up to make room.
	Pinned bool
	// UsedAt is when a command last used what it stands for, to the hour; zero where
	// none has since UpdatedAt, and where nobody keeps that.
	UsedAt time.Time
}

// NameChange moves one name. The zero Expect asks for nothing; a pointer to ""
// demands that the name does not exist, any other that it points there.
type NameChange struct {
	Reference oci.Reference
	Expect    *oci.Digest
	Target    oci.Digest // "" removes the name
	Why       string     // goes to the history: "pull", "tag", "remove" …
}

// Names is the local name space.
type Names interface {
	NameReader
	// SetNames applies all changes or none. Errors: ErrConflict when an Expect does
	// not hold, ErrNotFound when a target, or something it reaches other than a
	// platform left out of an index, is not held, or when a name to be removed does
	// not exist.
	SetNames(ctx context.Context, changes ...NameChange) error
}

// Lease keeps objects from being collected until it expires or is released.
type Lease struct {
	ID        string
	Note      string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Leases protects content that has no name yet.
type Leases interface {
	// Acquire makes a lease that lasts for d, and puts digests under it in the same step.
	// While the caller's process lives it counts whatever the clock says. Errors:
	// ErrNotFound for one that is not held; no lease is made then.
	Acquire(ctx context.Context, note string, d time.Duration, digests ...oci.Digest) (Lease, error)
	// Renew lets the lease last for d from now. Errors: ErrNotFound.
	Renew(ctx context.Context, id string, d time.Duration) (Lease, error)
	// Hold puts objects that are held under the lease. Errors: ErrNotFound.
	Hold(ctx context.Context, id string, digests ...oci.Digest) error
	// Unhold takes objects from under the lease, save those that a repository
	// includes (see Repositories): who brought them there may be at work. What the
	// lease does not hold is no error, nor is a lease that is gone.
	Unhold(ctx context.Context, id string, digests ...oci.Digest) error
	// Release ends it. Releasing what is gone is no error.
	Release(ctx context.Context, id string) error
	// AllLeases lists leases by creation.
	AllLeases(ctx context.Context) iter.Seq2[Lease, error]
}

// ReferrerLister finds what is about something.
type ReferrerLister interface {
	// Referrers lists the manifests whose subject is subject, of one artifact type
	// or, with "", of all. Each descriptor carries artifactType and annotations. A
	// subject nobody has heard of has no referrers: that is no error.
	Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error]
}

// Store is a content store, whole.
type Store interface {
	Provider
	Fetcher
	Ingester
	IngestManager
	Manager
	Names
	Leases
	ReferrerLister
	PartReader
	Sightings
	Repositories
}
