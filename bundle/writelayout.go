package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// alignment is what the bytes of large members begin at a multiple of in the file, so
	// that file systems can share their blocks with a store; large is which those are.
	alignment = 4096
	large     = 1 << 20
	// leastShare is how much of the blobs each volume has to have room for.
	leastShare = 64 << 10
	// tarEnd is how long the mark of a tar's end is.
	tarEnd = 1024
)

// volume is one tar, laid out.
type volume struct {
	pieces []piece
	size   int64
}

// piece is a member of a volume: a document, or a blob or part of one.
type piece struct {
	name string
	at   int64 // of its header in the file
	head int64 // the header's length
	size int64
	doc  []byte
	blob int   // which of the blobs, -1 for a document
	off  int64 // of the part in its blob
}

// end is where the next member begins.
func (p piece) end() int64 { return roundUp(p.at + p.head + p.size) }

// isPart says whether p is less than its blob.
func (p piece) isPart() bool { return p.blob >= 0 && strings.HasPrefix(p.name, "dist-parts/") }

// memberTime is the time of every member.
func memberTime(epoch time.Time) time.Time {
	if epoch.IsZero() {
		return time.Unix(0, 0)
	}
	return epoch.Truncate(time.Second)
}

// memberHeader is what the header of every member says.
func memberHeader(name string, size int64, mtime time.Time) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: mtime}
}

// tarHeader is the header of a member whose header begins at an offset of the file: one
// block, or with a PAX header before it where its size needs that or where its bytes
// have to be moved to a multiple of alignment.
func tarHeader(name string, size, at int64, mtime time.Time) ([]byte, error) {
	h := memberHeader(name, size, mtime)
	head, err := encodeHeader(h)
	if err != nil || size < large || (at+int64(len(head)))%alignment == 0 {
		return head, err
	}
	// Each step is a block longer than the one before, so that one of eight fits.
	for pad := 400; pad < 400+alignment; pad += 512 {
		h.PAXRecords = map[string]string{"comment": strings.Repeat(".", pad)}
		head, err = encodeHeader(h)
		if err != nil || (at+int64(len(head)))%alignment == 0 {
			return head, err
		}
	}
	return nil, fmt.Errorf("header of %s: %w: it cannot be padded", name, content.ErrUnsupported)
}

func encodeHeader(h tar.Header) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&h)
	return b.Bytes(), err
}

// layouter lays documents and blobs out.
type layouter struct {
	mtime time.Time
	docs  []document
	blobs []outBlob

	split int64 // no volume is larger; 0 for no volumes
	asked int64 // what all volumes are to be smaller than
	done  []volume
	cur   volume
	sums  Sums // of the parts of cur, the digests not known yet
}

// volumes lays out one tar, or with split so many that none is larger than that.
func (l *layouter) volumes() ([]volume, error) {
	if l.split == 0 {
		if err := l.begin(l.docs); err != nil {
			return nil, err
		}
		for i := range l.blobs {
			if err := l.whole(i); err != nil {
				return nil, err
			}
		}
		l.cur.size += tarEnd
		return []volume{l.cur}, nil
	}
	for i := range l.blobs {
		if err := l.place(i); err != nil {
			return nil, err
		}
	}
	if err := l.finish(); err != nil {
		return nil, err
	}
	return l.done, l.number()
}

// add puts a member behind the others.
func (l *layouter) add(p piece) error {
	p.at = l.cur.size
	head, err := tarHeader(p.name, p.size, p.at, l.mtime)
	if err != nil {
		return err
	}
	p.head = int64(len(head))
	l.cur.pieces = append(l.cur.pieces, p)
	l.cur.size = p.end()
	return nil
}

// begin begins a volume with its documents.
func (l *layouter) begin(docs []document) error {
	l.cur, l.sums = volume{}, Sums{Parts: []PartSum{}}
	for _, d := range docs {
		if err := l.add(piece{name: d.name, size: int64(len(d.data)), doc: d.data, blob: -1}); err != nil {
			return err
		}
	}
	return nil
}

func (l *layouter) whole(i int) error {
	b := l.blobs[i]
	return l.add(piece{name: blobName(b.Digest), size: b.Size, blob: i})
}

// volumeDocs are the documents of every volume. Which one it is, number says later: that
// takes one block in any case.
func (l *layouter) volumeDocs() []document {
	return slices.Insert(slices.Clone(l.docs), 1, document{VolumeFile, make([]byte, 256)})
}

// open is the current volume, begun if there is none.
func (l *layouter) open() error {
	if l.cur.pieces != nil {
		return nil
	}
	if err := l.begin(l.volumeDocs()); err != nil {
		return err
	}
	least := l.cur.size + l.tail(PartSum{Blob: oci.SHA512.FromBytes(nil), Offset: maxBlobSize, Size: maxBlobSize, Digest: oci.DigestBytes(nil)}) +
		2*alignment + leastShare
	if l.split < least {
		return fmt.Errorf("volumes of %d bytes: %w: what every volume has leaves too little room for blobs; they have to be of %d at least", l.asked, content.ErrInvalid, roundUp(least)+1)
	}
	return nil
}

// tail is how much the end of the current volume takes: what the parts hash to, one more
// of blob i among them, and the mark.
func (l *layouter) tail(parts ...PartSum) int64 {
	return 512 + roundUp(int64(len(encodeSums(Sums{append(slices.Clone(l.sums.Parts), parts...)})))) + tarEnd
}

// place puts a blob into the current volume, into the next, or in parts into several.
func (l *layouter) place(i int) error {
	b := l.blobs[i]
	if err := l.open(); err != nil {
		return err
	}
	fits, err := l.fits(blobName(b.Digest), b.Size, l.split-l.tail())
	if err != nil || fits {
		return firstError(err, func() error { return l.whole(i) })
	}
	if b.Size <= large && l.hasBlobs() { // small ones are not cut, if that helps
		if err := l.next(); err != nil {
			return err
		}
		if fits, err := l.fits(blobName(b.Digest), b.Size, l.split-l.tail()); err != nil || fits {
			return firstError(err, func() error { return l.whole(i) })
		}
	}
	for off := int64(0); off < b.Size; {
		n, err := l.part(i, off)
		if err != nil {
			return err
		}
		if off += n; off < b.Size {
			if err := l.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

// fits says whether a member of a size ends before the current volume has more than so
// many bytes.
func (l *layouter) fits(name string, size, within int64) (bool, error) {
	if l.cur.size+size > within {
		return false, nil
	}
	head, err := tarHeader(name, size, l.cur.size, l.mtime)
	return roundUp(l.cur.size+int64(len(head))+size) <= within, err
}

func (l *layouter) hasBlobs() bool {
	return slices.ContainsFunc(l.cur.pieces, func(p piece) bool { return p.blob >= 0 })
}

// part puts as much of a blob from an offset on as fits into the current volume, and
// says how much. It is 0 where next to nothing does and the next volume has more room.
func (l *layouter) part(i int, off int64) (int64, error) {
	b := l.blobs[i]
	name, rest := PartName(b.Digest, off), b.Size-off
	sum := PartSum{Blob: b.Digest, Offset: off, Size: b.Size, Digest: oci.DigestBytes(nil)}
	within := l.split - l.tail(sum)
	n := rest
	if fits, err := l.fits(name, rest, within); err != nil || !fits {
		head, herr := tarHeader(name, max(rest, large), l.cur.size, l.mtime)
		if err = firstError(err, func() error { return herr }); err != nil {
			return 0, err
		}
		if n = (within - l.cur.size - int64(len(head))) &^ (alignment - 1); n < leastShare && l.hasBlobs() {
			return 0, nil
		}
	}
	sum.Size = n
	l.sums.Parts = append(l.sums.Parts, sum)
	return n, l.add(piece{name: name, size: n, blob: i, off: off})
}

// next ends the current volume and begins another.
func (l *layouter) next() error {
	if err := l.finish(); err != nil {
		return err
	}
	if len(l.done) >= maxVolumes {
		return fmt.Errorf("volumes: %w: there would be more than %d", content.ErrInvalid, maxVolumes)
	}
	return l.open()
}

// finish ends the current volume.
func (l *layouter) finish() error {
	if err := l.open(); err != nil { // a bundle without blobs has one, too
		return err
	}
	if err := l.add(piece{name: SumsFile, doc: encodeSums(l.sums), size: int64(len(encodeSums(l.sums))), blob: -1}); err != nil {
		return err
	}
	l.cur.size += tarEnd
	l.done, l.cur = append(l.done, l.cur), volume{}
	return nil
}

// number lets every volume say which it is, now that it is known how many there are.
func (l *layouter) number() error {
	var bundle oci.Digest
	for _, d := range l.docs {
		if d.name == ContentsFile || d.name == SignedFile {
			bundle = oci.DigestBytes(d.data)
		}
	}
	for i, v := range l.done {
		data, err := json.Marshal(Volume{Version: contentsVersion, Bundle: bundle, Number: i + 1, Of: len(l.done)})
		if err != nil {
			return err
		}
		for at := range v.pieces {
			if p := &v.pieces[at]; p.name == VolumeFile {
				p.doc, p.size = data, int64(len(data))
			}
		}
	}
	return nil
}

// encodeSums always has one length for the same parts, whatever they hash to.
func encodeSums(s Sums) []byte {
	data, _ := json.Marshal(s) // strings and numbers always marshal
	return data
}
