package bundle

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// laidOut lays blobs of some sizes out in volumes of split bytes, and checks all that is
// promised of them. Errors: those of layouter.
func laidOut(t *testing.T, docs []document, sizes []int64, split int64) ([]volume, error) {
	t.Helper()
	l := layouter{mtime: time.Unix(0, 0), docs: docs, split: split}
	for i, n := range sizes {
		b := outBlob{BlobEntry: BlobEntry{Digest: oci.DigestBytes(binary.BigEndian.AppendUint64(nil, uint64(i))), Size: n}}
		if i%5 == 4 {
			b.Digest = oci.SHA512.FromBytes([]byte(b.Digest))
		}
		l.blobs = append(l.blobs, b)
	}
	volumes, err := l.volumes()
	if err != nil {
		return nil, err
	}
	blob, off := 0, int64(0) // what has to come next
	for i, v := range volumes {
		if split > 0 && v.size > split {
			t.Errorf("volume %d has %d bytes", i+1, v.size)
		}
		blob, off = checkVolume(t, l, v, i, len(volumes), blob, off)
	}
	if blob != len(sizes) || off != 0 {
		t.Errorf("the volumes end with %d of %d blobs, %d bytes into the next", blob, len(sizes), off)
	}
	return volumes, nil
}

func checkVolume(t *testing.T, l layouter, v volume, i, of, blob int, off int64) (int, int64) {
	t.Helper()
	at, carries := int64(0), false
	for _, p := range v.pieces {
		head, err := tarHeader(p.name, p.size, p.at, l.mtime)
		if err != nil || p.at != at || int64(len(head)) != p.head {
			t.Fatalf("%s is at %d with a header of %d, and not at %d with one of %d: %v", p.name, p.at, p.head, at, len(head), err)
		}
		if p.size >= large && (p.at+p.head)%alignment != 0 {
			t.Errorf("%s begins at %d", p.name, p.at+p.head)
		}
		at = roundUp(at + p.head + p.size)
		switch {
		case p.blob < 0:
			checkDocument(t, p, i+1, of)
			continue
		case p.blob != blob || p.off != off || p.size == 0 && l.blobs[blob].Size > 0:
			t.Fatalf("%s is blob %d from %d, want %d from %d", p.name, p.blob, p.off, blob, off)
		case p.isPart() != (p.size < l.blobs[blob].Size):
			t.Errorf("%s has %d bytes of %d", p.name, p.size, l.blobs[blob].Size)
		}
		carries = true
		if off += p.size; off == l.blobs[blob].Size {
			blob, off = blob+1, 0
		} else if off%alignment != 0 {
			t.Errorf("%s ends at byte %d of its blob", p.name, off)
		}
	}
	if v.size != at+tarEnd {
		t.Errorf("volume %d has %d bytes, and was to have %d", i+1, at+tarEnd, v.size)
	}
	if !carries && len(l.blobs) > 0 {
		t.Errorf("volume %d carries nothing", i+1)
	}
	return blob, off
}

func checkDocument(t *testing.T, p piece, n, of int) {
	t.Helper()
	if int64(len(p.doc)) != p.size {
		t.Errorf("%s has %d bytes in place of %d", p.name, len(p.doc), p.size)
	}
	if p.name != VolumeFile {
		return
	}
	if v, err := ParseVolume(p.doc); err != nil || v.Number != n || v.Of != of {
		t.Errorf("volume %d of %d says that it is %+v, %v", n, of, v, err)
	}
}

// someDocs are the documents of a bundle, some bytes of them.
func someDocs(n int) []document {
	return []document{{"oci-layout", []byte("{}")}, {ContentsFile, make([]byte, n)}, {"index.json", []byte("{}")}}
}

func TestVolumesOfEverySize(t *testing.T) {
	sizes := []int64{500, 0, 70_000, 3 << 20, 1 << 20, 1<<20 - 1, 9<<30 + 1, 64 << 10, 5, 0, 40 << 20}
	refused := 0
	for _, split := range []int64{0, 512, 4096, 64 << 10, 80 << 10, 96 << 10, 128 << 10, 1 << 20, 1<<20 + 512, 3 << 20, 100 << 20, 4<<30 - 512, 1 << 40} {
		some := sizes
		if split > 0 && split < 20<<20 { // else there would be too many
			some = append(append([]int64{}, sizes[:6]...), sizes[7:]...)
		}
		volumes, err := laidOut(t, someDocs(2000), some, split)
		if errors.Is(err, content.ErrInvalid) && split > 0 && split < 128<<10 {
			refused++
			continue
		}
		if err != nil {
			t.Errorf("%d: %v", split, err)
		}
		if split == 0 != (len(volumes) == 1) && split < 1<<40 {
			t.Errorf("%d: %d volumes", split, len(volumes))
		}
	}
	if refused != 3 {
		t.Errorf("%d sizes are refused", refused)
	}
}

// The error says how large volumes have to be, and that is so.
func TestTooSmallAVolumeSaysWhatWouldDo(t *testing.T) {
	for _, docs := range []int{10, 100_000, 3 << 20} {
		_, err := laidOut(t, someDocs(docs), []int64{1 << 20}, 4096)
		var least int64
		if err == nil {
			t.Fatal("volumes of 4096 bytes")
		}
		words := strings.Fields(err.Error())
		if _, serr := fmt.Sscan(words[len(words)-3], &least); serr != nil {
			t.Fatalf("%v: %v", err, serr)
		}
		if _, err := laidOut(t, someDocs(docs), []int64{1 << 20, 5 << 20}, least); err != nil {
			t.Errorf("%d: %v", least, err)
		}
	}
}

func TestTooManyVolumesAreRefused(t *testing.T) {
	if _, err := laidOut(t, someDocs(10), []int64{1 << 30}, 128<<10); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("8192 volumes: %v", err)
	}
}

func TestABundleWithoutBlobsIsOneVolume(t *testing.T) {
	volumes, err := laidOut(t, someDocs(10), nil, 1<<20)
	if err != nil || len(volumes) != 1 {
		t.Errorf("%d volumes, %v", len(volumes), err)
	}
}

func FuzzVolumes(f *testing.F) {
	f.Add(uint32(2000), int64(1<<20), []byte{0, 0, 0, 5, 0, 32, 0, 0})
	f.Add(uint32(5<<20), int64(6<<20), []byte{0, 0, 16, 0, 0, 16, 0, 1, 255, 255, 255, 255, 0, 0, 0, 0})
	f.Add(uint32(0), int64(79<<10), []byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, docs uint32, split int64, data []byte) {
		if split < 0 || docs > MaxContents || len(data) > 400 {
			return
		}
		var (
			sizes []int64
			total int64
		)
		for ; len(data) >= 4; data = data[4:] {
			sizes = append(sizes, int64(binary.BigEndian.Uint32(data)))
			total += sizes[len(sizes)-1]
		}
		if split > int64(docs) && total/(split-int64(docs)) > 100 {
			return // more of the same
		}
		if _, err := laidOut(t, someDocs(int(docs)), sizes, split&^511); err != nil && !errors.Is(err, content.ErrInvalid) {
			t.Error(err)
		}
	})
}

func TestSumsAreAsLongAsTheyWerePlanned(t *testing.T) {
	part := PartSum{Blob: oci.DigestBytes(nil), Offset: 4096, Size: 99, Digest: oci.DigestBytes(nil)}
	planned := encodeSums(Sums{Parts: []PartSum{part}})
	part.Digest = oci.DigestBytes([]byte("x"))
	written := encodeSums(Sums{Parts: []PartSum{part}})
	var read Sums
	if err := json.Unmarshal(written, &read); err != nil || len(written) != len(planned) || len(read.Parts) != 1 || read.Parts[0] != part {
		t.Errorf("%d bytes, planned were %d: %+v, %v", len(written), len(planned), read, err)
	}
}
