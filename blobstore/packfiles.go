package blobstore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"dist.example/db"
	"dist.example/fsys"
)

const (
	// maxPackFiles bounds the packs kept open: 16 GiB of small blobs.
	maxPackFiles = 64
	// packsLook is how often it is looked for packs that are gone.
	packsLook = time.Minute
)

// packFiles are the packs that a store keeps open for reading. A process that goes on for
// long must not keep on the disk what a collection has given up: as long as any is open,
// it is looked every minute for those that are gone, whether anything is read or not.
type packFiles struct {
	mu    sync.Mutex
	files map[int64]fsys.File
	look  *time.Timer // nil while none is open
	ended bool

	looking sync.Mutex // held during a look
}

// packFile returns a pack open for reading; it is kept open with the store.
func (s *Store) packFile(id int64) (fsys.File, error) {
	p := &s.packs
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.files[id]; f != nil {
		return f, nil
	}
	f, err := s.openContent(s.packPath(id))
	if err != nil {
		return nil, err
	}
	if len(p.files) >= maxPackFiles {
		// Readers hold on to bytes, never to the file, so any may go: but not while
		// one reads. Closing waits for that (os.File counts its users).
		for other := range p.files {
			p.drop(other)
			break
		}
	}
	p.files[id] = f
	if p.look == nil && !p.ended {
		p.look = time.AfterFunc(packsLook, s.letGoPacks)
	}
	return f, nil
}

// drop closes a pack, if it is open. The lock is held.
func (p *packFiles) drop(id int64) {
	if f := p.files[id]; f != nil {
		f.Close()
		delete(p.files, id)
	}
}

// letGoPack closes a pack that is about to be removed: Windows keeps the name of what is
// open.
func (s *Store) letGoPack(id int64) {
	s.packs.mu.Lock()
	defer s.packs.mu.Unlock()
	s.packs.drop(id)
}

// letGoPacks closes the packs that are gone.
func (s *Store) letGoPacks() {
	p := &s.packs
	p.looking.Lock()
	defer p.looking.Unlock()
	gone := s.gonePacks(p.open())
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range gone {
		p.drop(id)
	}
	switch {
	case p.ended:
	case len(p.files) == 0:
		p.look = nil
	default:
		p.look.Reset(packsLook)
	}
}

// open are the packs that are open, none once the store is closed.
func (p *packFiles) open() map[int64]fsys.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	return maps.Clone(p.files)
}

// gonePacks finds out which of some packs are dead, which on Windows have their files as
// long as they are open, or have lost their files.
func (s *Store) gonePacks(open map[int64]fsys.File) (gone []int64) {
	if len(open) == 0 {
		return nil
	}
	for id, f := range open {
		if same, err := fsys.SameFile(f, s.packPath(id), s.fs); err == nil && !same {
			gone = append(gone, id)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	// Where the catalog cannot be read now, the next look does.
	_ = s.db.Read(ctx, func(tx *db.Tx) error {
		for _, id := range slices.Sorted(maps.Keys(open)) {
			p, found, err := tx.Pack(id)
			if err != nil {
				return err
			}
			if !found || p.State == db.PackDead {
				gone = append(gone, id)
			}
		}
		return nil
	})
	return gone
}

// end closes all packs, after a look that is under way.
func (p *packFiles) end() (errs []error) {
	p.mu.Lock()
	p.ended = true
	if p.look != nil {
		p.look.Stop()
	}
	p.mu.Unlock()
	p.looking.Lock()
	defer p.looking.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, f := range p.files {
		errs = append(errs, f.Close())
		delete(p.files, id)
	}
	return errs
}
