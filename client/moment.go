package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// moment is a place in the history of a name.
type moment struct {
	back int       // so many changes ago, 0 is now; not where at is set
	at   time.Time // what the name was then
}

// momentMark is what no name and no digest has.
const momentMark = "@{"

// momentLayouts are how a time may be written; one that says no zone is of this
// machine's.
var momentLayouts = []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02"}

// cutMoment takes NAME@{WHEN} apart, as of now. A word without @{ is a name as it is now,
// and has no moment. Errors: ErrInvalid.
func cutMoment(word string, now time.Time) (name string, m *moment, err error) {
	name, when, ok := strings.Cut(word, momentMark)
	if !ok {
		return word, nil, nil
	}
	when, closed := strings.CutSuffix(when, "}")
	if !closed || name == "" {
		return "", nil, errMoment(word)
	}
	if n, err := strconv.ParseUint(when, 10, 31); err == nil {
		return name, &moment{back: int(n)}, nil
	}
	if at, ok := parseWhen(when, now); ok {
		return name, &moment{at: at}, nil
	}
	return "", nil, errMoment(word)
}

// parseWhen reads a time: so long ago, or a date.
func parseWhen(word string, now time.Time) (time.Time, bool) {
	if ago, ok := ParseSpan(word); ok {
		return now.Add(-ago), true
	}
	for _, layout := range momentLayouts {
		if at, err := time.ParseInLocation(layout, word, now.Location()); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

func errMoment(word string) error {
	return content.WithHint(fmt.Errorf("%q: %w: it is not NAME@{WHEN}", word, content.ErrInvalid),
		"NAME@{1} is what it was before its last change, NAME@{2h} or NAME@{3d} so long ago, NAME@{2026-01-31} or NAME@{2026-01-31 15:04} then")
}

// maxSpanDays keeps a time so long ago one that can be written.
const maxSpanDays = 36500

// ParseSpan reads a length of time as people give it: 3d, 90m, 2h30m and the like. It
// is false for anything else, and for more than a hundred years.
func ParseSpan(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 31)
		return time.Duration(n) * 24 * time.Hour, err == nil && n <= maxSpanDays
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && s[0] >= '0' && s[0] <= '9' && d <= maxSpanDays*24*time.Hour
}

// parseNamed reads a name of the store, perhaps of an earlier time: NAME or NAME@{WHEN}.
// Errors: ErrInvalid.
func parseNamed(word string) (oci.Reference, *moment, error) {
	name, m, err := cutMoment(word, time.Now())
	if err != nil {
		return oci.Reference{}, nil, err
	}
	ref, err := oci.ParseReference(name)
	return ref, m, err
}

// resolveNamed finds what a name stands for, or stood for at a moment. Errors:
// ErrNotFound, also for what it stood for and is gone.
func resolveNamed(ctx context.Context, s *blobstore.Store, ref oci.Reference, m *moment) (oci.Descriptor, error) {
	if m == nil {
		return s.Resolve(ctx, ref)
	}
	var (
		d   oci.Digest
		err error
	)
	if m.at.IsZero() {
		d, err = s.NameBefore(ctx, ref, m.back)
	} else {
		d, err = s.NameAt(ctx, ref, m.at)
	}
	if err != nil {
		return oci.Descriptor{}, content.WithHint(err, "`dist log %s` shows its history", ref.Local())
	}
	info, err := s.Info(ctx, d)
	if errors.Is(err, content.ErrNotFound) {
		err = content.WithHint(fmt.Errorf("name %s: %w: it was %s, which is not in this store any more", ref.Local(), content.ErrNotFound, d),
			"`dist pull %s` fetches it, where its repository still has it", ref.WithDigest(d))
	}
	return info.Descriptor(), err
}
