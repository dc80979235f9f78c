package blobstore

import (
	"dist.example/content"
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
