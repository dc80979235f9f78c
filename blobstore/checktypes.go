package blobstore

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// knownMedia is a type as the catalog keeps it: bytes are without one.
func knownMedia(mediaType string) string {
	if mediaType == oci.MediaTypeOctets {
		return ""
	}
	return mediaType
}

// says takes what something beside the catalog says of an object's type. binding
// means that the catalog should know it too.
func (c *checker) says(o db.Object, mediaType string, binding bool) {
	mediaType = knownMedia(mediaType)
	switch {
	case mediaType == "" || o.ID == 0:
	case o.Media == mediaType:
		c.typed.add(o.ID)
	case o.Media == "" && binding && o.Loc.Held():
		c.mu.Lock()
		c.lost[o.ID] = mediaType
		c.mu.Unlock()
	default:
		c.mu.Lock()
		if c.untold[o.ID] == mediaType { // given meanwhile
			delete(c.untold, o.ID)
		}
		c.mu.Unlock()
		if binding {
			c.denied.add(o.ID)
		}
	}
}

// sameLife is how much earlier than an object's commit the note of its type may
// be written. An older one may be of the same content at an earlier time, given
// up since.
const sameLife = 2 * lockWait

func (c *checker) noteSays(o db.Object, n pack.Note) {
	c.says(o, n.Media, time.Unix(0, n.Seq).After(o.Committed.Add(-sameLife)))
}

// types reports the objects of whose type the packs say something else. One that
// only the catalog knows is no fault: whatever told it may be deleted since.
func (c *checker) types(ctx context.Context) error {
	for id, media := range c.untold {
		if c.typed.has(id) {
			continue
		}
		o, err := c.again(ctx, db.Object{ID: id})
		if err != nil {
			return err
		}
		if !o.Loc.Held() || o.Media != media || !c.doubtful(o) {
			continue
		}
		told, err := c.parentSays(ctx, o)
		if err != nil {
			return err
		}
		if !told {
			c.unconfirmed(o)
		}
	}
	for id, media := range c.lost {
		o, err := c.again(ctx, db.Object{ID: id})
		if err != nil {
			return err
		}
		if o.Loc.Held() && o.Media == "" {
			c.complain("%s: it has no media type, and is %s", o.Digest, media)
		}
	}
	return nil
}

// doubtful says whether a type that the catalog alone knows may be wrong, or may
// have been told by what a pack has lost.
func (c *checker) doubtful(o db.Object) bool {
	return c.denied.has(o.ID) || len(c.gaps) > 0 && len(c.report.Newer) == 0
}

// parentSays says whether a manifest that refers to an object gives it the type
// that it has. The one that did may have been stored after its own row was passed.
func (c *checker) parentSays(ctx context.Context, o db.Object) (told bool, err error) {
	var parents []db.Neighbour
	err = c.s.db.Read(ctx, func(tx *db.Tx) (err error) {
		parents, err = tx.Parents(o.ID)
		return err
	})
	for _, p := range parents {
		if told || err != nil || !oci.HasSuccessors(p.Media) || !p.Loc.Held() || p.Size > oci.MaxManifestSize {
			continue
		}
		ra, rerr := c.s.open(p.Digest, p.Object)
		if rerr != nil {
			continue // damage is reported where it is looked for
		}
		said, _ := edgesOf(p.Media, ra)
		told = slices.ContainsFunc(said, func(e oci.Edge) bool { return e.Digest == o.Digest && e.MediaType == o.Media })
	}
	return told, err
}

// edgesOf reads and closes a manifest and says what it refers to.
func edgesOf(mediaType string, ra content.ReaderAt) ([]oci.Edge, error) {
	defer ra.Close()
	data := make([]byte, ra.Size())
	if _, err := ra.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return oci.Successors(mediaType, data)
}

// unconfirmed judges a doubtful type. Where nothing tells of another one, its note
// was among what a pack has lost.
func (c *checker) unconfirmed(o db.Object) {
	if c.denied.has(o.ID) {
		c.complain("%s: it is called %s, which nothing confirms", o.Digest, o.Media)
		return
	}
	// A later word on its type counts more than this one.
	c.write(pack.Note{Type: pack.NoteMedia, Seq: o.Committed.UnixNano(), Digest: o.Digest, Media: o.Media, Size: o.Size},
		"the type of %s was lost from a pack", o.Digest)
}
