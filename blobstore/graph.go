package blobstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// Missing lists what d should reach and does not: configurations and layers that
// are absent or damaged, and d itself. Platforms left out of an index are not
// missing, nor are layers that may not be distributed.
func (s *Store) Missing(ctx context.Context, d oci.Digest) (missing []oci.Digest, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(d)
		if err != nil {
			return err
		}
		if !found {
			missing = []oci.Digest{d}
			return nil
		}
		_, lacking, err := tx.Reach([]int64{o.ID})
		for _, m := range lacking {
			missing = append(missing, m.Digest)
		}
		return err
	})
	return missing, err
}

// Complete says whether d is held with everything it should reach.
func (s *Store) Complete(ctx context.Context, d oci.Digest) (bool, error) {
	missing, err := s.Missing(ctx, d)
	return len(missing) == 0, err
}

// Reach counts the bytes of everything that d reaches: those held, and those
// known of, each object once.
func (s *Store) Reach(ctx context.Context, d oci.Digest) (held, known int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(d)
		if err != nil || !found {
			return err
		}
		seen := map[int64]bool{o.ID: true}
		for todo := []db.Object{o}; len(todo) > 0; todo = todo[1:] {
			known += todo[0].Size
			if todo[0].Loc.Held() {
				held += todo[0].Size
			}
			children, err := tx.Children(todo[0].ID)
			if err != nil {
				return err
			}
			for _, c := range children {
				if c.Role != oci.RoleSubject && !seen[c.ID] {
					seen[c.ID] = true
					todo = append(todo, c.Object)
				}
			}
		}
		return nil
	})
	return held, known, err
}

// Referrers implements content.ReferrerLister.
func (s *Store) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		objects, err := s.referrers(ctx, subject)
		if err != nil {
			yield(oci.Descriptor{}, err)
			return
		}
		for _, o := range objects {
			desc, err := s.referrer(ctx, descriptor(o))
			if errors.Is(err, content.ErrNotFound) {
				continue // given up since
			}
			if err == nil && artifactType != "" && desc.ArtifactType != artifactType {
				continue
			}
			if !yield(desc, err) || err != nil {
				return
			}
		}
	}
}

func (s *Store) referrers(ctx context.Context, subject oci.Digest) (objects []db.Object, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(subject)
		if err != nil || !found {
			return err
		}
		objects, err = tx.Referrers(o.ID)
		return err
	})
	return objects, err
}

// referrer reads what a referrer's descriptor tells beyond its digest: artifact
// type (the configuration's media type where the manifest names none) and
// annotations (distribution-spec 1.1.1, listing referrers).
func (s *Store) referrer(ctx context.Context, desc oci.Descriptor) (oci.Descriptor, error) {
	data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
	if err != nil {
		return desc, err
	}
	var doc struct {
		ArtifactType string            `json:"artifactType"`
		Config       *oci.Descriptor   `json:"config"`
		Annotations  map[string]string `json:"annotations"`
	}
	// What is no text in annotations is left out: one manifest must not hide the others.
	odd := (*json.UnmarshalTypeError)(nil)
	if err := json.Unmarshal(data, &doc); err != nil && !errors.As(err, &odd) {
		return desc, fmt.Errorf("referrer %s: %w: %v", desc.Digest, content.ErrCorrupt, err)
	}
	desc.ArtifactType, desc.Annotations = doc.ArtifactType, doc.Annotations
	if desc.ArtifactType == "" && doc.Config != nil {
		desc.ArtifactType = doc.Config.MediaType
	}
	return desc, nil
}
