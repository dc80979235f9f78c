package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dist.example/content"
	"dist.example/oci"
)

// defaultLockJobs is how many names are asked about at once.
const defaultLockJobs = 8

// LockOptions direct Lock.
type LockOptions struct {
	// Output is the file to write, in one step.
	Output string
	// Platform is written behind the names that the entries say no platform of; nil
	// writes none there.
	Platform *oci.Platform
}

// LockedName is a name and what it is locked to.
type LockedName struct {
	Name     oci.Reference // with a tag, or with the digest alone where no tag was given
	Digest   oci.Digest
	Platform *oci.Platform
	Where    string // FILE:LINE of the list that names it, "" for none
}

// LockSummary is the account of Lock.
type LockSummary struct {
	Names    []LockedName // in the order in which they were given
	Requests int64
	Elapsed  time.Duration
}

// Lock asks registries what names stand for, one request for each and several at
// once, and writes a list of the names with their digests. Entries are references,
// and repositories with a glob or a range of versions in place of the tag, as for
// Sync. Of an index the lock has the digest of the index, whatever the platform: it
// is chosen when the lock is used. An entry with a digest is taken as it is, and
// nobody is asked. Nothing is stored, and after an error no lock is written.
//
// Errors: those of the registries; ErrInvalid for a locator of another place, and
// when one name would be locked to two digests.
func (c *Client) Lock(ctx context.Context, entries []ListEntry, o LockOptions) (LockSummary, error) {
	start, asked := time.Now(), c.Traffic().Requests
	items, err := c.lockItems(ctx, entries, o.Platform)
	if err != nil {
		return LockSummary{}, err
	}
	names := make([]LockedName, len(items))
	same := sameNames(items)
	err = c.eachLocked(ctx, len(same), func(ctx context.Context, i int) error {
		first, err := c.lockOne(ctx, items[same[i][0]])
		for _, at := range same[i] {
			names[at] = first
			names[at].Platform, names[at].Where = items[at].Platform, items[at].Where
		}
		return err
	})
	if err == nil {
		err = oneDigestEach(names)
	}
	if err == nil {
		err = writeLock(ctx, o.Output, lockLines(names))
	}
	return LockSummary{names, c.Traffic().Requests - asked, time.Since(start)}, err
}

// lockItems expands the entries; what is named twice is one.
func (c *Client) lockItems(ctx context.Context, entries []ListEntry, platform *oci.Platform) ([]locatedEntry, error) {
	var items []locatedEntry
	tags, seen := newTagLists(c), map[string]bool{}
	for _, e := range entries {
		if e.Platform == nil {
			e.Platform = platform
		}
		some, err := c.lockable(ctx, e, tags)
		if err != nil {
			return nil, e.at(err)
		}
		for _, it := range some {
			key := it.where.Reference.String() + " " + oci.FormatPlatform(it.Platform)
			if !seen[key] {
				seen[key] = true
				items = append(items, it)
			}
		}
	}
	return items, nil
}

// sameNames groups the places of items by what they name: for two platforms of one name
// the registry is asked once.
func sameNames(items []locatedEntry) (groups [][]int) {
	at := map[oci.Reference]int{}
	for i, it := range items {
		g, again := at[it.where.Reference]
		if !again {
			g, groups = len(groups), append(groups, nil)
			at[it.where.Reference] = g
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

// lockable is what one entry names in registries.
func (c *Client) lockable(ctx context.Context, e ListEntry, tags *tagLists) ([]locatedEntry, error) {
	sel, ok, err := parseSelector(e.Word)
	if err != nil {
		return nil, err
	}
	if ok {
		return tags.pick(ctx, e, sel)
	}
	l, err := c.Locate(e.Word)
	if err != nil {
		return nil, err
	}
	if l.Transport != TransportRegistry {
		return nil, fmt.Errorf("%s: %w: a lock names images of registries alone", e.Word, content.ErrInvalid)
	}
	l.Place = l.Reference.String()
	return []locatedEntry{{e, l}}, nil
}

// eachLocked does n things, several at once. The first error ends all of it.
func (c *Client) eachLocked(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	jobs := c.opts.Jobs
	if jobs <= 0 {
		jobs = defaultLockJobs
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i := range n {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return do(ctx, i)
		})
	}
	return g.Wait()
}

func (c *Client) lockOne(ctx context.Context, it locatedEntry) (LockedName, error) {
	locked := LockedName{Name: it.where.Reference, Digest: it.where.Reference.Digest, Platform: it.Platform, Where: it.Where}
	if locked.Name.Tag != "" {
		locked.Name.Digest = ""
	}
	if locked.Digest != "" {
		return locked, nil
	}
	remote, err := c.registry()
	if err != nil {
		return locked, err
	}
	desc, err := remote.Repository(locked.Name).Resolve(ctx, locked.Name)
	if err == nil && !oci.HasSuccessors(desc.MediaType) {
		err = notNameable(desc)
	}
	if err != nil {
		return locked, fmt.Errorf("lock %s: %w", it.Word, it.at(err))
	}
	locked.Digest = desc.Digest
	return locked, nil
}

// oneDigestEach refuses a name with two digests, for of two lines the one that is
// read last would win.
func oneDigestEach(names []LockedName) error {
	of := map[oci.Reference]LockedName{}
	for _, n := range names {
		first, twice := of[n.Name]
		if twice && first.Digest != n.Digest {
			return ListEntry{Where: n.Where}.at(fmt.Errorf("name %s: %w: it would be locked to %s and to %s",
				n.Name, content.ErrInvalid, oci.ShortDigest(first.Digest), oci.ShortDigest(n.Digest)))
		}
		of[n.Name] = n
	}
	return nil
}

func lockLines(names []LockedName) []lockLine {
	lines := make([]lockLine, len(names))
	for i, n := range names {
		lines[i] = lockLine{n.Name, n.Digest, n.Platform}
	}
	return lines
}

// LockChange is a name that does not stand any more for what it is locked to.
type LockChange struct {
	LockedName
	Now oci.Digest // "" when the registry does not have it any more
}

// LockCheck says how a lock differs from what registries have now.
type LockCheck struct {
	Checked  int          // names that were asked about
	Changes  []LockChange // sorted by name
	Requests int64
	Elapsed  time.Duration
}

// CheckLock asks registries what the names of a lock stand for now, one request for
// each and several at once. Of a name without a tag it is asked whether the digest
// is still there. Neither the lock nor anything else is changed.
//
// Errors: ErrInvalid for an entry without a digest; those of the registries, but for
// names that are gone.
func (c *Client) CheckLock(ctx context.Context, lock []ListEntry) (LockCheck, error) {
	start, asked := time.Now(), c.Traffic().Requests
	names, err := c.lockedNames(ctx, lock)
	if err != nil {
		return LockCheck{}, err
	}
	now := make([]oci.Digest, len(names))
	err = c.eachLocked(ctx, len(names), func(ctx context.Context, i int) (err error) {
		now[i], err = c.standsNow(ctx, names[i])
		return err
	})
	if err != nil {
		return LockCheck{}, err
	}
	check := LockCheck{Checked: len(names), Requests: c.Traffic().Requests - asked, Elapsed: time.Since(start)}
	for i, n := range names {
		if now[i] != n.Digest {
			check.Changes = append(check.Changes, LockChange{n, now[i]})
		}
	}
	return check, nil
}

// lockedNames are the names of a lock with their digests, each once and sorted.
func (c *Client) lockedNames(ctx context.Context, lock []ListEntry) ([]LockedName, error) {
	items, err := c.lockItems(ctx, lock, nil)
	if err != nil {
		return nil, err
	}
	var names []LockedName
	for _, it := range items {
		if it.where.Reference.Digest == "" {
			return nil, content.WithHint(it.at(fmt.Errorf("%s: %w: a lock has a digest on each line", it.Word, content.ErrInvalid)),
				"`dist lock` makes a lock of a list")
		}
		n, err := c.lockOne(ctx, it)
		if err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	slices.SortStableFunc(names, func(a, b LockedName) int {
		return cmp.Or(cmp.Compare(a.Name.String(), b.Name.String()), cmp.Compare(a.Digest, b.Digest))
	})
	// One name for two platforms is one question.
	return slices.CompactFunc(names, func(a, b LockedName) bool { return a.Name == b.Name && a.Digest == b.Digest }), nil
}

// standsNow is what a locked name stands for now, "" when it is gone.
func (c *Client) standsNow(ctx context.Context, n LockedName) (oci.Digest, error) {
	remote, err := c.registry()
	if err != nil {
		return "", err
	}
	desc, err := remote.Repository(n.Name).Resolve(ctx, n.Name)
	if errors.Is(err, content.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("check %s: %w", n.Name, ListEntry{Where: n.Where}.at(err))
	}
	return desc.Digest, nil
}
