package content

import (
	"sync"

	"dist.example/oci"
)

// manifestsKept is how many bytes Manifests keep at most.
const manifestsKept = 16 << 20

// Manifests keep what plans and copies read of their sources, as long as that is not
// much: of more, the source is asked again. They are safe for concurrent use; nil
// keeps nothing.
type Manifests struct {
	mu   sync.Mutex
	size int
	data map[oci.Digest][]byte
}

// Get finds a manifest that was read, and verified. Nobody changes it.
func (m *Manifests) Get(d oci.Digest) ([]byte, bool) {
	if m == nil {
		return nil, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.data[d]
	return data, ok
}

func (m *Manifests) add(d oci.Digest, data []byte) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, twice := m.data[d]; twice || m.size+len(data) > manifestsKept {
		return
	}
	if m.data == nil {
		m.data = map[oci.Digest][]byte{}
	}
	m.data[d], m.size = data, m.size+len(data)
}
