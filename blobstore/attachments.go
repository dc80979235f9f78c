package blobstore

import (
	"context"
	"iter"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// Attachments implements content.AttachmentLister: what has the tag of an attachment
// in a repository that subject is in, each manifest once. What is damaged is left
// out.
func (s *Store) Attachments(ctx context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	return func(yield func(content.Attachment, error) bool) {
		var found []content.Attachment // first: who looks at one reads in between
		err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
			found, err = attachments(tx, subject)
			return err
		})
		if err != nil {
			yield(content.Attachment{}, err)
			return
		}
		for _, a := range found {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func attachments(tx *db.Tx, subject oci.Digest) (found []content.Attachment, err error) {
	if oci.AttachmentTag(subject, oci.SuffixSignature) == "" {
		return nil, nil
	}
	repos, err := tx.RepositoriesOf(subject)
	if err != nil {
		return nil, err
	}
	seen := map[oci.Digest]bool{}
	for _, suffix := range oci.AttachmentSuffixes() {
		for _, repo := range repos {
			r, ok, err := attachment(tx, repo, subject, suffix)
			if err != nil {
				return nil, err
			}
			if o := r.Object; ok && !seen[o.Digest] && o.Loc.Held() && oci.IsManifest(o.Media) {
				seen[o.Digest] = true
				found = append(found, content.Attachment{Suffix: suffix, Descriptor: descriptor(o)})
			}
		}
	}
	return found, nil
}

// attachment finds what has the tag of an attachment in repo.
func attachment(tx *db.Tx, repo string, subject oci.Digest, suffix string) (r db.Ref, found bool, err error) {
	r, found, err = tx.Ref(repo + ":" + oci.AttachmentTag(subject, suffix))
	if err != nil || !found {
		return r, false, err
	}
	found, err = tx.InRepository(repo, subject)
	return r, found, err
}
