package blobstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// What the catalog knows of receiving sites, and of bundles; see package db.
type (
	Site   = db.Site
	Bundle = db.Bundle
)

// The settings whose notes tell of sites, and of the last bundle that was sent of each
// name. Their rows are in tables of their own.
const (
	sitePrefix   = "site "
	bundlePrefix = "bundle "
)

// keptClosures is of how many bundles of a name and site the store remembers what their
// images reach.
const keptClosures = 100

// Sites lists the receiving sites by name.
func (s *Store) Sites(ctx context.Context) iter.Seq2[Site, error] {
	return listed(ctx, s, (*db.Tx).Sites, func(site Site) Site { return site })
}

// Site finds a site. Errors: content.ErrNotFound.
func (s *Store) Site(ctx context.Context, name string) (site Site, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		site, err = siteOf(tx, name)
		return err
	})
	return site, err
}

func siteOf(tx *db.Tx, name string) (Site, error) {
	site, found, err := tx.Site(name)
	if err == nil && !found {
		err = content.WithHint(fmt.Errorf("site %s: %w in this store", name, content.ErrNotFound), "`dist site list` lists them; `dist site add %s` makes it", name)
	}
	return site, err
}

// AddSite notes a site of which nothing is known yet but what is given here. Errors:
// content.ErrExists; content.ErrDenied for a store that can only be read.
func (s *Store) AddSite(ctx context.Context, site Site) (added Site, err error) {
	err = s.setFacts(ctx, func(tx *db.Tx) (pack.Note, error) {
		_, found, err := tx.Site(site.Name)
		if err == nil && found {
			err = content.WithHint(fmt.Errorf("site %s: %w", site.Name, content.ErrExists), "`dist site forget %s` forgets it", site.Name)
		}
		if err != nil {
			return pack.Note{}, err
		}
		added = site
		added.Added = tx.Now
		return putSite(tx, added)
	})
	return added, err
}

// ForgetSite forgets a site, with what is known of what it has. What was sent to it stays
// in the record. Errors: content.ErrNotFound.
func (s *Store) ForgetSite(ctx context.Context, name string) (was Site, err error) {
	err = s.setFacts(ctx, func(tx *db.Tx) (pack.Note, error) {
		if was, err = siteOf(tx, name); err != nil {
			return pack.Note{}, err
		}
		if _, err := tx.DeleteSite(name); err != nil {
			return pack.Note{}, err
		}
		if err := tx.GiveUpInventories(); err != nil {
			return pack.Note{}, err
		}
		return settingNote(tx, sitePrefix+name, "")
	})
	if err == nil {
		s.trimInventories(ctx)
	}
	return was, err
}

// TakeReceipt lets a site have what w has written: what the receipt of which judge is told
// says. judge sees the site as it is in the transaction that does so, changes it as the
// receipt says, and may refuse; then nothing has changed. Errors: content.ErrNotFound;
// those of judge.
func (s *Store) TakeReceipt(ctx context.Context, name string, receipt oci.Digest, w *InventoryWriter, judge func(*Site) error) (site Site, err error) {
	if err := w.end(receipt); err != nil {
		return site, err
	}
	s.hook("site.written")
	err = s.setFacts(ctx, func(tx *db.Tx) (pack.Note, error) {
		if site, err = siteOf(tx, name); err != nil {
			return pack.Note{}, err
		}
		if err := judge(&site); err != nil {
			return pack.Note{}, err
		}
		if site.Inventory, err = tx.FinishInventory(w.inventory); err != nil {
			return pack.Note{}, err
		}
		site.Receipt, site.Updated, site.Objects, site.Names = receipt, tx.Now, w.inventory.Objects, w.inventory.Names
		n, err := putSite(tx, site)
		if err == nil {
			err = tx.GiveUpInventories()
		}
		return n, err
	})
	if err == nil {
		s.trimInventories(ctx)
	}
	return site, err
}

// RecordBundle notes a bundle that was sent or has come, as of now. closure is all that
// its images reach, which is remembered of the newest; nil for nothing to be remembered.
// lease ends with that, in one transaction: what was sent needs it no more. "" is for none.
func (s *Store) RecordBundle(ctx context.Context, b Bundle, closure []oci.Digest, lease string) error {
	if err := s.writable(); err != nil {
		return err
	}
	var (
		err  error
		trim bool
	)
	for range 4 {
		w := new(InventoryWriter)
		if closure != nil {
			if w, err = s.inventoryOf(ctx, closure); err != nil {
				return err
			}
		}
		if trim, err = s.recordBundle(ctx, b, w.inventory, lease); !errors.Is(err, content.ErrNotFound) {
			break
		}
		// It was there and has been given up since: it is written anew.
	}
	if err == nil && lease != "" {
		s.endLease(lease)
	}
	if err == nil && trim {
		s.trimInventories(ctx)
	}
	return err
}

// recordBundle says also whether there are inventories to trim.
func (s *Store) recordBundle(ctx context.Context, b Bundle, inventory db.Inventory, lease string) (trim bool, err error) {
	record := func(tx *db.Tx) (err error) {
		b.At = tx.Now
		if inventory.ID != 0 {
			if b.Inventory, err = tx.FinishInventory(inventory); err != nil {
				return err
			}
		}
		if err := tx.PutBundle(b); err != nil {
			return err
		}
		if err := tx.ForgetClosures(b.Name, b.Site, keptClosures); err != nil {
			return err
		}
		if lease != "" {
			if err := tx.ReleaseLease(lease); err != nil {
				return err
			}
		}
		if err := tx.GiveUpInventories(); err != nil {
			return err
		}
		trim, err = tx.AnyToTrim(tx.Now.Add(-inventoryLife))
		return err
	}
	if b.Direction != db.Sent || b.Name == "" {
		err = s.db.Write(ctx, record)
		return trim, err
	}
	err = s.setFacts(ctx, func(tx *db.Tx) (pack.Note, error) {
		if err := record(tx); err != nil {
			return pack.Note{}, err
		}
		return bundleNote(tx, b)
	})
	return trim, err
}

// TakeSerial gives the serial of the next bundle of a name: seconds since 1970, or one more
// than the last. Nobody gets it again, whether the bundle is written or not. Errors:
// ErrDenied where the store is only read.
func (s *Store) TakeSerial(ctx context.Context, name string) (serial int64, err error) {
	if err := s.writable(); err != nil {
		return 0, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		serial, err = tx.TakeSerial(name)
		return err
	})
	return serial, err
}

// NextSerial is what TakeSerial would give now.
func (s *Store) NextSerial(ctx context.Context, name string) (serial int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		serial, err = tx.NextSerial(name)
		return err
	})
	return serial, err
}

// Bundles lists the bundles that went in a direction, the newest first.
func (s *Store) Bundles(ctx context.Context, d db.Direction) iter.Seq2[Bundle, error] {
	return listed(ctx, s, func(tx *db.Tx) iter.Seq2[Bundle, error] { return tx.Bundles(d) }, func(b Bundle) Bundle { return b })
}

// setFacts runs set in a transaction of which the note that it returns tells.
func (s *Store) setFacts(ctx context.Context, set func(*db.Tx) (pack.Note, error)) error {
	b := newBatch(nil)
	b.facts = func(tx *db.Tx) ([]pack.Note, error) {
		n, err := set(tx)
		return []pack.Note{n}, err
	}
	return s.commit(ctx, b)
}

// putSite writes a site, and returns the note of it.
func putSite(tx *db.Tx, site Site) (pack.Note, error) {
	if err := tx.PutSite(site); err != nil {
		return pack.Note{}, err
	}
	return siteNote(tx, site)
}

func siteNote(tx *db.Tx, site Site) (pack.Note, error) {
	return valueNote(tx, sitePrefix+site.Name, site)
}

func bundleNote(tx *db.Tx, b Bundle) (pack.Note, error) {
	return valueNote(tx, bundlePrefix+b.Name, b)
}

func valueNote(tx *db.Tx, key string, v any) (pack.Note, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return pack.Note{}, fmt.Errorf("note of %s: %w", key, err)
	}
	return settingNote(tx, key, string(value))
}

// sitesToldAgain are notes of all sites, and of the last bundle of each name.
func sitesToldAgain(tx *db.Tx) (notes []pack.Note, err error) {
	var (
		sites []Site
		last  = map[string]Bundle{}
		names []string
	)
	for site, err := range tx.Sites() {
		if err != nil {
			return nil, err
		}
		sites = append(sites, site)
	}
	for b, err := range tx.Bundles(db.Sent) {
		if err != nil {
			return nil, err
		}
		if was, known := last[b.Name]; !known || b.Serial > was.Serial {
			last[b.Name] = b
			if !known && b.Name != "" {
				names = append(names, b.Name)
			}
		}
	}
	for _, site := range sites {
		n, err := siteNote(tx, site)
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	for _, name := range names {
		n, err := bundleNote(tx, last[name])
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// restoreSite writes the site or bundle that a note tells of; false for a note of
// something else. What it has is not known until its next receipt. One that cannot be
// read is told of.
func (r *rebuilder) restoreSite(tx *db.Tx, n pack.Note) (taken bool, err error) {
	if name, is := strings.CutPrefix(n.Name, sitePrefix); is {
		var site Site
		if len(n.Value) == 0 {
			return true, nil
		}
		if !readValue(n, &site) || site.Name != name || !isDigest(site.Receipt) {
			r.left("the note of the site %q cannot be read", name)
			return true, nil
		}
		return true, tx.PutSite(site)
	}
	name, is := strings.CutPrefix(n.Name, bundlePrefix)
	if !is {
		return false, nil
	}
	var b Bundle
	if !readValue(n, &b) || b.Name != name || b.Digest == "" || !isDigest(b.Digest) || !isDigest(b.Base) {
		r.left("the note of the bundle %q cannot be read", name)
		return true, nil
	}
	return true, tx.PutBundle(b)
}

func readValue(n pack.Note, v any) bool { return json.Unmarshal(n.Value, v) == nil }

// isDigest says whether d is one, or none.
func isDigest(d oci.Digest) bool {
	_, err := oci.ParseDigest(d.String())
	return d == "" || err == nil
}
