package blobstore

import (
	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// batch is what one transaction commits.
type batch struct {
	items []*item
	index map[oci.Digest]int
	held  map[oci.Digest]bool // held already, to be put under the lease
	bytes int64

	lease   *lease
	names   []content.NameChange
	release bool // the lease ends with this transaction
	doomed  []oci.Digest
	deleted Deletion // what became of doomed

	trust []trustFact // go with the names
	// facts writes what else is to outlive the catalog, and returns the notes of it;
	// nil for nothing. It may be run again where the transaction is.
	facts func(*db.Tx) ([]pack.Note, error)

	repo     string // that excluded is taken out of
	excluded []oci.Digest
}

func newBatch(l *lease) *batch {
	return &batch{index: map[oci.Digest]int{}, held: map[oci.Digest]bool{}, lease: l}
}

// has is Store.has for what is not committed yet.
func (b *batch) has(d oci.Digest, mediaType string) bool {
	i, queued := b.index[d]
	if oci.HasSuccessors(mediaType) {
		return queued && b.items[i].desc.MediaType == mediaType
	}
	return queued || b.held[d]
}

func (b *batch) empty() bool { return len(b.items) == 0 && len(b.held) == 0 }
