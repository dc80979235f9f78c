package registryserver

import (
	"bytes"
	"context"
	"io"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// manifestCache keeps the bytes of manifests that were asked for lately, as they
// were when they were verified. They never change. Whether a manifest is held, and
// what a tag stands for, is the store's to say each time.
type manifestCache struct {
	mu   sync.Mutex
	kept map[oci.Digest][]byte
	size int // of all together
}

const (
	// cacheSize bounds all that is kept: some ten thousand manifests of images.
	cacheSize = 16 << 20
	// cacheOne bounds one of them.
	cacheOne = 1 << 20
)

// open returns the bytes of desc, which from is asked for when they are not kept.
// Errors: those of content.ReadAll.
func (m *manifestCache) open(ctx context.Context, from content.Fetcher, desc oci.Descriptor) (io.ReadSeeker, error) {
	m.mu.Lock()
	p, ok := m.kept[desc.Digest]
	m.mu.Unlock()
	if ok {
		return bytes.NewReader(p), nil
	}
	p, err := content.ReadAll(ctx, from, desc, oci.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	m.keep(desc.Digest, p)
	return bytes.NewReader(p), nil
}

// keep makes room by dropping any others: what is asked for often comes back at
// once.
func (m *manifestCache) keep(d oci.Digest, p []byte) {
	if len(p) > cacheOne {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[oci.Digest][]byte{}
	}
	if _, ok := m.kept[d]; ok {
		return
	}
	for other, q := range m.kept {
		if m.size+len(p) <= cacheSize {
			break
		}
		delete(m.kept, other)
		m.size -= len(q)
	}
	m.kept[d] = p
	m.size += len(p)
}
