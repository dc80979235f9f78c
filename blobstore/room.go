package blobstore

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

const (
	// measureEvery is how long a measurement of the store counts: what others write
	// and take away, and a new quota, show no later.
	measureEvery = 5 * time.Second
	// roomShare is the part of the room under a quota that a process takes without
	// measuring again, and roomLeast what it takes in any case: so that several
	// processes together hardly go beyond the quota, and few measurements fill a store.
	roomShare = 16
	roomLeast = 4 << 20
)

// RoomError says that something does not fit into the store. It is
// content.ErrNoSpace.
type RoomError struct {
	Need  int64 // bytes that are to come, 0 where nobody knows how many
	Left  int64 // bytes that there is room for, less than 0 where the quota is passed already
	Quota int64 // of the store, 0 where it is the disk that is full
}

func (e *RoomError) Error() string {
	who := "the disk"
	if e.Quota > 0 {
		who = "the quota of " + oci.HumanSize(e.Quota)
	}
	if e.Need == 0 {
		return fmt.Sprintf("%v: %s is used up", content.ErrNoSpace, who)
	}
	return fmt.Sprintf("%v: %s are to come, and %s has room for %s", content.ErrNoSpace, oci.HumanSize(e.Need), who, oci.HumanSize(max(e.Left, 0)))
}

// Lack is how many bytes have to go before what is to come fits.
func (e *RoomError) Lack() int64 { return e.Need - e.Left }

// Unwrap returns the class.
func (e *RoomError) Unwrap() error { return content.ErrNoSpace }

// noRoom is a RoomError with what helps, before a transfer and in the middle of one.
func noRoom(e RoomError) error {
	return content.WithHint(&e, "`dist gc --plan` tells what a collection would free")
}

// room is what a process knows of the room that the quota leaves.
type room struct {
	mu       sync.Mutex
	quota    int64 // at the last measurement
	left     int64 // that may be taken before the next one
	measured time.Time
	taken    int64 // since the store was opened
}

// spend is asked before n bytes are written. Errors: a RoomError for those that go
// beyond the quota.
func (s *Store) spend(n int64) error {
	if n == 0 {
		return nil
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if !s.room.grants(n) {
		left, err := s.measure(context.Background())
		if err != nil {
			return err
		}
		if n > left {
			return noRoom(RoomError{Left: left, Quota: s.room.quota})
		}
	}
	s.room.left -= n
	s.room.taken += n
	return nil
}

// grants says whether n bytes need no measurement.
func (r *room) grants(n int64) bool {
	return n <= r.left && time.Since(r.measured) < measureEvery
}

// measure finds out how many bytes the quota leaves, less than 0 for those beyond it.
// The room's lock is held.
func (s *Store) measure(ctx context.Context) (left int64, err error) {
	settings, err := s.Settings(ctx)
	if err != nil {
		return 0, err
	}
	left = math.MaxInt64
	if s.room.quota = settings.Quota; settings.Quota > 0 {
		used, err := s.Usage(ctx)
		if err != nil {
			return 0, err
		}
		left = settings.Quota - used.Total()
	}
	s.room.left, s.room.measured = min(left, max(left/roomShare, roomLeast)), time.Now()
	return left, nil
}

// Fits says whether so many bytes may come: it asks the quota and the disk, which it
// does without where the system does not tell how much is free. Others may take the
// room meanwhile, and then whoever writes finds out. Errors: a RoomError.
func (s *Store) Fits(ctx context.Context, need int64) error {
	if need <= 0 {
		return nil
	}
	if err := s.fitsQuota(ctx, need); err != nil {
		return err
	}
	return s.fitsDisk(need)
}

func (s *Store) fitsDisk(need int64) error {
	if free, ok := s.Free(); ok && need > free {
		return noRoom(RoomError{Need: need, Left: free})
	}
	return nil
}

func (s *Store) fitsQuota(ctx context.Context, need int64) error {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.room.grants(need) {
		return nil
	}
	left, err := s.measure(ctx)
	if err == nil && need > left {
		err = noRoom(RoomError{Need: need, Left: left, Quota: s.room.quota})
	}
	return err
}

// Fits is Store.Fits.
func (ses *Session) Fits(ctx context.Context, need int64) error { return ses.s.Fits(ctx, need) }

// Free is how many bytes the disk of the store has left for this user; false where
// the system does not tell.
func (s *Store) Free() (free int64, ok bool) {
	n, err := s.freeBytes(s.dir)
	return int64(min(n, math.MaxInt64)), err == nil
}

// Wrote says how many bytes of content were written since the store was opened, be
// they kept or not.
func (s *Store) Wrote() int64 {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	return s.room.taken
}

// freeSpace is the system's answer, unless a test gives another.
func freeSpace(o Options) func(string) (uint64, error) {
	if o.FreeBytes != nil {
		return o.FreeBytes
	}
	return fsys.FreeBytes
}
