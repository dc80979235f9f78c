package client

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// What the history of names is made of.
type (
	// Change is one change of a name.
	Change = blobstore.Change
	// Undone is what an undo does: the changes that it undoes, and what names become.
	Undone = blobstore.Undo
)

// Log lists the changes of a name, or with "" of all names, the newest first; limit is
// how many at most, 0 for all. It reads as the caller does, and keeps nobody waiting.
// Errors: ErrNotFound for a name that is not here and never was, as far as the history
// goes back; ErrInvalid for what is no name; ErrNoStore.
func (c *Client) Log(ctx context.Context, name string, limit int) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		s, err := c.Open(ctx)
		var full string
		if err == nil && name != "" {
			full, err = loggedName(ctx, s, name)
		}
		if err != nil {
			yield(Change{}, err)
			return
		}
		n := 0
		for change, err := range s.History(ctx, full) {
			if !yield(change, err) || err != nil {
				return
			}
			if n++; n == limit {
				return
			}
		}
	}
}

// loggedName is the full form of a name that is here or has a history.
func loggedName(ctx context.Context, s *blobstore.Store, name string) (string, error) {
	ref, err := oci.ParseReference(name)
	if err != nil {
		return "", err
	}
	full := ref.Local().String()
	for _, err := range s.History(ctx, full) {
		return full, err
	}
	_, err = s.Name(ctx, ref)
	if errors.Is(err, content.ErrNotFound) {
		absent := &AbsentName{Name: full, List: "`dist log` lists the changes of all names"}
		err = content.WithHint(fmt.Errorf("%w, nor in its history", absent), "%s", absent.List)
	}
	return full, err
}

// PlanUndo says what Undo would do. Errors: as Undo.
func (c *Client) PlanUndo(ctx context.Context, n int) (Undone, error) {
	_, u, err := c.planUndo(ctx, n)
	return u, err
}

// Undo lets names be again what they were before the newest n changes, each of which is
// everything that one command moved in one transaction, signatures under tags too. All
// of them move, by compare-and-set in one transaction, or none. An undo is logged as a
// change itself, but never undone: the next one goes further back.
//
// It is for whoever owns the store to decide: no policy is asked, and the serials that
// keys have signed with stay as they are, so that a registry cannot do the same.
//
// Errors: ErrInvalid for n below 1; ErrNotFound when there are fewer changes, and
// *blobstore.MissingError when what a name would stand for is not here any more with
// all that it reaches; ErrConflict when somebody else moved a name.
func (c *Client) Undo(ctx context.Context, n int) (Undone, error) {
	s, u, err := c.planUndo(ctx, n)
	if err != nil {
		return u, err
	}
	changes, err := u.NameChanges()
	if err == nil {
		err = s.SetNames(ctx, changes...)
	}
	return u, undoHint(err)
}

func (c *Client) planUndo(ctx context.Context, n int) (*blobstore.Store, Undone, error) {
	if n < 1 {
		return nil, Undone{}, fmt.Errorf("undo %d changes: %w: it has to be one at least", n, content.ErrInvalid)
	}
	s, err := c.Open(ctx)
	if err != nil {
		return nil, Undone{}, err
	}
	u, err := s.PlanUndo(ctx, n)
	return s, u, undoHint(err)
}

// undoHint says what there is to do beside an undo that is not possible.
func undoHint(err error) error {
	var missing *blobstore.MissingError
	if !errors.As(err, &missing) {
		return err
	}
	return content.WithHint(err, "`dist log` lists the changes; `dist tag NAME@{N} NAME` brings back one name alone")
}
