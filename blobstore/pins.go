package blobstore

import (
	"context"
	"strings"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/oci"
)

// pinPrefix begins the key of the setting that says that a name is pinned.
const pinPrefix = "pin "

// pinnedName is the name that a setting's key says is pinned.
func pinnedName(key string) (name string, ok bool) { return strings.CutPrefix(key, pinPrefix) }

// SetPinned pins names, or lets go of them: all or, with an error, none. No quota
// makes a pinned name go. The pin stays when the name comes to stand for something
// else, and goes with the name. Notes in a pack tell of it, so that a rebuilt catalog
// has the same. What is pinned already is no error. Errors: content.ErrNotFound for a
// name that is not there; content.ErrDenied for a store that can only be read.
func (s *Store) SetPinned(ctx context.Context, pinned bool, names ...oci.Reference) error {
	if len(names) == 0 {
		return nil
	}
	b := newBatch(nil)
	b.facts = func(tx *db.Tx) (notes []pack.Note, err error) {
		for _, ref := range names {
			name := ref.Local().String()
			r, found, err := tx.Ref(name)
			if err == nil && !found {
				err = errNoName(name)
			}
			if err != nil {
				return nil, err
			}
			if r.Pinned == pinned {
				continue
			}
			n, err := setPinned(tx, name, pinned)
			if err != nil {
				return nil, err
			}
			notes = append(notes, n)
		}
		return notes, nil
	}
	return s.commit(ctx, b)
}

// setPinned pins a name, or lets go of it, and returns the note of that. The name
// itself may be gone.
func setPinned(tx *db.Tx, name string, pinned bool) (pack.Note, error) {
	if _, err := tx.SetPinned(name, pinned); err != nil {
		return pack.Note{}, err
	}
	value := ""
	if pinned {
		value = "true"
	}
	return settingNote(tx, pinPrefix+name, value)
}
