package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
	"dist.example/registryserver/mirror"
)

const (
	// roomTime is how long room is made for one blob, while its client waits.
	roomTime = 30 * time.Second
	// roomRest is how long no room is made again for as much as could not be had.
	roomRest = time.Minute
)

// mirrorRoom makes room for what a mirror brings, as --evict does: of names only those of
// the registries that it stands for go.
type mirrorRoom struct {
	c     *Client
	store *blobstore.Store
	hosts []string

	failed int64 // bytes that no room could be made for
	at     time.Time
}

// make is mirror.Options.MakeRoom.
func (r *mirrorRoom) make(ctx context.Context, want mirror.Want) error {
	var room *RoomError
	err := r.store.Fits(ctx, want.Bytes)
	if !errors.As(err, &room) {
		return err
	}
	if room.Quota > 0 && want.Bytes > room.Quota || want.Bytes >= r.failed && time.Since(r.at) < roomRest {
		return err
	}
	r.at = time.Time{}
	if err = r.evict(ctx, want); errors.Is(err, content.ErrNoSpace) {
		r.failed, r.at = want.Bytes, time.Now()
	}
	return err
}

// evict evicts, and where that is not enough ends leases of mirrors, one after the other,
// and tries again.
func (r *mirrorRoom) evict(ctx context.Context, want mirror.Want) error {
	spare, err := r.others(ctx)
	if err != nil {
		return err
	}
	o, err := asTold(ctx, r.store)
	if err != nil {
		return err
	}
	until := time.Now().Add(roomTime)
	o.Resumes = want.Parts
	shed := r.shedding(want)
	for more := true; ; {
		o.MaxTime = time.Until(until)
		stayed, err := r.c.evict(ctx, r.store, want.Bytes, gc.EvictOptions{Options: o, Spare: spare})
		switch {
		case err == nil: // what stayed was warned of
			return nil
		case !errors.Is(err, content.ErrNoSpace) || !more || !time.Now().Before(until):
			return errors.Join(err, stayed)
		}
		if more, err = shed(ctx); err != nil {
			return err
		}
	}
}

// shedding ends a lease with each call: those that processes which are gone have left, then
// those of this one. One whose process lives is left to it.
func (r *mirrorRoom) shedding(want mirror.Want) func(context.Context) (more bool, err error) {
	var left []string
	looked := false
	return func(ctx context.Context) (bool, error) {
		if !looked {
			var err error
			if left, err = r.leftLeases(ctx); err != nil {
				return false, err
			}
			looked = true
		}
		if len(left) == 0 {
			return want.Shed(ctx)
		}
		_, err := r.store.ReleaseLeases(ctx, false, left[0])
		left = left[1:]
		if errors.Is(err, content.ErrConflict) || errors.Is(err, content.ErrNotFound) {
			err = nil // it lives after all, or somebody else was quicker
		}
		return true, err
	}
}

// others are the names of registries that are not stood for.
func (r *mirrorRoom) others(ctx context.Context) (names []oci.Reference, err error) {
	for n, err := range r.store.Names(ctx, "") {
		if err != nil {
			return nil, err
		}
		if !slices.Contains(r.hosts, n.Reference.Registry) {
			names = append(names, n.Reference)
		}
	}
	return names, nil
}

// leftLeases are those that mirrors of earlier processes have left, oldest first.
func (r *mirrorRoom) leftLeases(ctx context.Context) (ids []string, err error) {
	for l, err := range r.store.Leases(ctx) {
		if err != nil {
			return nil, err
		}
		if l.Note == mirror.LeaseNote && !l.OwnerAlive {
			ids = append(ids, l.ID)
		}
	}
	return ids, nil
}
