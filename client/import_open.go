package client

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// open makes all of the bundle readable: in place where that can be, else by taking it
// into the store as it comes.
func (im *imports) open(ctx context.Context) error {
	if len(im.places) == 1 && im.places[0] != "-" {
		stream, err := bundle.IsStream(im.places[0])
		if err != nil {
			return err
		}
		if !stream {
			in, err := bundle.OpenIncoming(ctx, im.places[0])
			if err != nil {
				return err
			}
			if in.Volume == nil {
				im.in = in
				return im.admitBundle(ctx, in.Head)
			}
			_ = in.Close()
		}
	}
	return im.receive(ctx)
}

// admitBundle holds the bundle to the policy.
func (im *imports) admitBundle(ctx context.Context, h bundle.Head) (err error) {
	if im.bundle, err = im.c.admitBundle(ctx, im.store, claimOf(h, im.o.AllowRollback)); err != nil {
		return fmt.Errorf("import %s: %w", im.places[0], err)
	}
	im.c.hook("import.admitted")
	return nil
}

// arrival is one place that is read from front to back.
type arrival struct {
	place  string
	volume int // 0 where it is not known
}

// receive reads all places as they come.
func (im *imports) receive(ctx context.Context) error {
	arrivals, err := im.arrivals(ctx)
	if err != nil {
		return err
	}
	to := im.receiver()
	r := bundle.NewReception(to)
	for _, a := range arrivals {
		if err := im.receiveOne(ctx, r, a); err != nil {
			to.abandon(ctx)
			return err
		}
	}
	if err := to.complete(ctx, r); err != nil {
		return err
	}
	im.c.hook("import.received")
	im.in, err = r.Incoming(ctx, to)
	return err
}

// taker is a Receiver that gives back what it took.
type taker interface {
	bundle.Receiver
	content.Provider
	// abandon is for after an error: what came of the last tar is not vouched for.
	abandon(ctx context.Context)
	// complete says whether all has come. Errors: ErrPartial, ErrCorrupt.
	complete(ctx context.Context, r *bundle.Reception) error
}

func (im *imports) receiver() taker {
	if im.plans {
		return newPlanning(im)
	}
	im.stream = &storing{im: im, taken: map[oci.Digest]bool{}}
	return im.stream
}

// arrivals orders the places: volumes in files by their number, so that parts of blobs
// come one after the other, and the rest as it was given.
func (im *imports) arrivals(ctx context.Context) ([]arrival, error) {
	var all []arrival
	for _, place := range im.places {
		a := arrival{place: place}
		if place != "-" {
			stream, err := bundle.IsStream(place)
			if err != nil {
				return nil, err
			}
			if !stream {
				in, err := bundle.OpenIncoming(ctx, place)
				if err != nil {
					return nil, err
				}
				_ = in.Close()
				if in.Volume == nil {
					return nil, content.WithHint(fmt.Errorf("import %s: %w: it is no volume of a bundle", place, content.ErrInvalid),
						"several files at once are the volumes of one bundle; import others one by one")
				}
				a.volume = in.Volume.Number
			}
		}
		all = append(all, a)
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.volume, b.volume) })
	return all, nil
}

func (im *imports) receiveOne(ctx context.Context, r *bundle.Reception, a arrival) error {
	if a.place == "-" {
		in := im.o.Stdin
		if in == nil {
			in = strings.NewReader("")
		}
		return r.Receive(ctx, "stdin", in)
	}
	f, err := fsys.OpenPatiently(ctx, a.place, os.O_RDONLY)
	if err != nil {
		return fsys.Classify(err)
	}
	defer f.Close()
	if a.volume == 0 {
		return r.Receive(ctx, a.place, f)
	}
	fi, err := f.Stat()
	if err != nil {
		return fsys.Classify(err)
	}
	return r.ReceiveFile(ctx, a.place, f, fi.Size())
}

// descriptor is a blob as its bundle describes it.
func descriptor(b bundle.BlobEntry) oci.Descriptor {
	return oci.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}
}
