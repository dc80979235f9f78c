package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"dist.example/content"
	"dist.example/oci"
)

// NoteType says what a note tells. The set is open; a type of a later version
// is carried on as it is.
type NoteType string

// The types given out. Each has one key, and the note with the highest Seq of a
// type and key is the one that counts.
const (
	// NoteRef moves the local name Name from Old ("" when it is new) to New (""
	// when it goes), because of Why.
	NoteRef NoteType = "ref"
	// NoteMedia gives the media type and size of the object Digest: of every loose
	// one, and of packed ones whose type the hint cannot name. It does not say that
	// the object is held.
	NoteMedia NoteType = "media"
	// NoteTrust is a piece of trust state: Value under the key Name, none when it
	// is dropped.
	NoteTrust NoteType = "trust"
	// NoteSetting is a setting of the store: Value under the key Name, none when it
	// is back at its default.
	NoteSetting NoteType = "setting"
)

// MaxSeq is the highest Seq of a note, but for those of media types, whose Seq is a
// time: more changes than there will ever be.
const MaxSeq = 1 << 53

// Note is a fact that a rebuilt catalog must know and that no blob tells. It is
// stored as one JSON object; a field that does not belong to its type is left
// out.
type Note struct {
	Type   NoteType        `json:"type"`
	Seq    int64           `json:"seq"`            // fixed under the write lock, grows
	When   time.Time       `json:"when,omitzero"`  // of the change
	Name   string          `json:"name,omitempty"` // a name in its full form, or a key
	Old    oci.Digest      `json:"old,omitempty"`
	New    oci.Digest      `json:"new,omitempty"`
	Why    string          `json:"why,omitempty"`
	Digest oci.Digest      `json:"digest,omitempty"`
	Media  string          `json:"media,omitempty"`
	Size   int64           `json:"size,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"`
	// First and Of are those of a ref note that was committed together with others:
	// the lowest Seq of them, and how many there are, with Seqs one after the other.
	First int64 `json:"first,omitempty"`
	Of    int64 `json:"of,omitempty"`
}

// Key is what the note is about, together with its type: of several notes of one
// key the one with the highest Seq counts. Types of later versions keep to this:
// their key is in name, or else in digest.
func (n Note) Key() string {
	about := n.Name
	if about == "" {
		about = string(n.Digest)
	}
	return string(n.Type) + " " + about
}

// EncodeNote is n as it is stored. What DecodeNote would refuse:
// content.ErrInvalid.
func EncodeNote(n Note) ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, fmt.Errorf("encode note: %w: %v", content.ErrInvalid, err)
	}
	n.When = n.When.UTC()
	p, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("encode note: %w: %v", content.ErrInvalid, err)
	}
	if len(p) > MaxNote {
		return nil, fmt.Errorf("encode note %s: %w: %d bytes, a note holds %d", n.Key(), content.ErrInvalid, len(p), MaxNote)
	}
	return p, nil
}

// DecodeNote parses a note's JSON and checks what its type demands. Fields that
// it does not know are passed over. Errors: content.ErrCorrupt.
func DecodeNote(p []byte) (Note, error) {
	n, err := decodeNote(p)
	if err != nil {
		return Note{}, fmt.Errorf("decode note: %w: %v", content.ErrCorrupt, err)
	}
	return n, nil
}

func decodeNote(p []byte) (n Note, err error) {
	if len(p) > MaxNote {
		return n, fmt.Errorf("%d bytes, a note holds %d", len(p), MaxNote)
	}
	if !utf8.Valid(p) {
		return n, errors.New("not UTF-8")
	}
	if p = bytes.TrimSpace(p); len(p) == 0 || p[0] != '{' {
		return n, errors.New("not an object")
	}
	if err := json.Unmarshal(p, &n); err != nil {
		return n, err
	}
	return n, n.check()
}

// ReadNote reads and verifies the note of a record. Errors are those of ReadBlob
// and DecodeNote; a record that is no note is content.ErrInvalid.
func ReadNote(r io.ReaderAt, rec Record) (Note, error) {
	if rec.Kind != KindNote {
		return Note{}, fmt.Errorf("read note at %d: %w: a record of kind %d", rec.Offset, content.ErrInvalid, rec.Kind)
	}
	if rec.RawSize > MaxNote {
		return Note{}, fmt.Errorf("read note at %d: %w: %d bytes, a note holds %d", rec.Offset, content.ErrCorrupt, rec.RawSize, MaxNote)
	}
	p, err := ReadBlob(r, rec)
	if err != nil {
		return Note{}, err
	}
	n, err := DecodeNote(p)
	if err != nil {
		return Note{}, fmt.Errorf("read note at %d: %w", rec.Offset, err)
	}
	return n, nil
}

// check says what is wrong with n.
func (n Note) check() error {
	for _, d := range []oci.Digest{n.Old, n.New, n.Digest} {
		if d == "" {
			continue
		}
		if _, err := oci.ParseDigest(string(d)); err != nil {
			return err
		}
	}
	switch {
	case n.Type == "":
		return errors.New("it has no type")
	case n.Seq < 0 || n.Size < 0:
		return fmt.Errorf("seq %d and size %d must not be negative", n.Seq, n.Size)
	case n.Seq > MaxSeq && (n.Type == NoteRef || n.Type == NoteTrust || n.Type == NoteSetting):
		return fmt.Errorf("seq %d is more than %d", n.Seq, int64(MaxSeq))
	case n.Of < 0 || n.First < 0 || n.Of > 0 && (n.Seq < n.First || n.Seq-n.First >= n.Of):
		return fmt.Errorf("seq %d is not among the %d from %d on", n.Seq, n.Of, n.First)
	case n.Type == NoteMedia && (n.Digest == "" || n.Media == ""):
		return fmt.Errorf("a media note needs digest and media")
	case n.Type == NoteMedia && n.Name != "":
		return fmt.Errorf("a media note has no name")
	case (n.Type == NoteRef || n.Type == NoteTrust || n.Type == NoteSetting) && n.Name == "":
		return fmt.Errorf("a %s note needs a name", n.Type)
	}
	return nil
}
