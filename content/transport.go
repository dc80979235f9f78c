package content

import (
	"context"
	"io"

	"dist.example/oci"
)

// Transport is a way to reach images: a registry, a layout, an archive, a
// program. A locator is "NAME:PLACE", and a Transport is what NAME stands for.
// It opens nothing before it is asked to, and is safe for concurrent use.
type Transport interface {
	// Source opens place to read the image that it names. Errors: ErrInvalid for a
	// place that is malformed, ErrUnsupported by a transport that only writes, else
	// as ImageSource.Image.
	Source(ctx context.Context, place string) (ImageSource, error)
	// Target opens place to write an image to it. Errors: ErrInvalid, ErrUnsupported
	// by a transport that only reads, ErrDenied, ErrConflict when somebody else
	// writes there.
	Target(ctx context.Context, place string) (ImageTarget, error)
}

// ImageSource is a place that was opened to read one image. What it can do
// besides, such as starting in the middle of a blob or listing referrers, it says
// by implementing RangeFetcher, Provider or ReferrerLister. The caller closes it.
type ImageSource interface {
	Fetcher
	io.Closer
	// Image is what the place names: its descriptor, and the full name that the
	// place knows it by, the zero Reference when it knows none. Errors: ErrNotFound;
	// ErrInvalid, with the names there are as hint, when the place has several
	// images and names none of them; ErrDenied, ErrUnavailable, ErrCorrupt.
	Image(ctx context.Context) (oci.Reference, oci.Descriptor, error)
}

// ImageTarget is a place that was opened to write one image. Besides, it may be
// an Ingester, Closed, a Mounter, or a ReferrerLister.
//
// Lifecycle: Target → Push… → Finish, and Close in every case. Until Finish has
// returned nil the place offers what it offered before; what was pushed by then
// may be left for a later try, or not at all.
type ImageTarget interface {
	Pusher
	// Finish lets the place offer root under the name that the locator has, else
	// under name, which may be the zero Reference. All that root reaches must have
	// been pushed, or be there. Errors: ErrNotFound when something is missing,
	// ErrDenied, ErrNoSpace, ErrConflict.
	Finish(ctx context.Context, root oci.Descriptor, name oci.Reference) error
	// Close gives up what Finish has not finished. Idempotent.
	io.Closer
}
