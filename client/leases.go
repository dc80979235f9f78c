package client

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// Lease is a lease and what it keeps.
type Lease = blobstore.LeaseInfo

// maxNote is the length of the longest note of a lease or site, in bytes.
const maxNote = 1000

// LeaseOptions direct AddLease.
type LeaseOptions struct {
	// Note is shown where leases are listed; "" is fine.
	Note string
	// Lasts is for how long, 0 means DefaultKeep.
	Lasts time.Duration
}

// Leases lists all leases by creation. Errors: ErrNoStore.
func (c *Client) Leases(ctx context.Context) iter.Seq2[Lease, error] {
	s, err := c.Open(ctx)
	if err != nil {
		return func(yield func(Lease, error) bool) { yield(Lease{}, err) }
	}
	return s.Leases(ctx)
}

// AddLease makes one lease on what words mean, all of it or nothing: a manifest under a
// lease keeps all that it reaches, and what is about it. A name is looked up once, and
// may move on. Errors: ErrInvalid for a note that is no line of text of at most 1000
// bytes; those of Lookup.
func (c *Client) AddLease(ctx context.Context, o LeaseOptions, words ...string) (Lease, error) {
	if err := checkNote("lease", o.Note); err != nil {
		return Lease{}, err
	}
	s, err := c.Open(ctx)
	if err != nil {
		return Lease{}, err
	}
	digests := make([]oci.Digest, len(words))
	for i, word := range words {
		desc, err := peek(ctx, s, word)
		if err != nil {
			return Lease{}, err
		}
		digests[i] = desc.Digest
	}
	if o.Lasts == 0 {
		o.Lasts = DefaultKeep
	}
	return s.AddLease(ctx, o.Note, o.Lasts, digests...)
}

// checkNote refuses a note that is no line of text. Errors: ErrInvalid.
func checkNote(of, note string) error {
	if len(note) > maxNote || !utf8.ValidString(note) || strings.ContainsFunc(note, unicode.IsControl) {
		return fmt.Errorf("%s: %w: a note is a line of text of at most %d bytes", of, content.ErrInvalid, maxNote)
	}
	return nil
}

// RenewLeases lets leases last for d from now (0 means DefaultKeep), all of them or
// none. A word is an id, or the only one that begins so. Errors: ErrNotFound, ErrInvalid.
func (c *Client) RenewLeases(ctx context.Context, d time.Duration, words ...string) ([]Lease, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	if d == 0 {
		d = DefaultKeep
	}
	return s.RenewLeases(ctx, d, words...)
}

// ReleaseLeases ends leases, all of them or none, and returns them as they were.
// Errors: those of RenewLeases; without force, ErrConflict for one whose command is at
// work.
func (c *Client) ReleaseLeases(ctx context.Context, force bool, words ...string) ([]Lease, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	return s.ReleaseLeases(ctx, force, words...)
}
