package bundle

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"dist.example/content"
	"github.com/ulikunitz/xz/lzma"
)

// The container of xz files, version 1.2.1 of its specification, is read here: what is
// in its blocks is LZMA2, which github.com/ulikunitz/xz reads. Its own reader of the
// container takes as much memory as a header claims.
const (
	xzMagic    = "\xfd7zXZ\x00"
	xzEndMagic = "YZ"
	xzFilter   = 0x21 // LZMA2, and nothing before it

	// maxXzDict bounds the dictionary of a block, in bytes: twice what `xz -9` takes.
	maxXzDict = 128 << 20
	// maxXzDicts and, for each byte that was read, maxXzDictsRatio bound those of all
	// blocks together: each of them is made anew, and a block can have a few bytes.
	maxXzDicts      = 4 << 30
	maxXzDictsRatio = 1 << 10
)

// xzReader reads streams of xz one after the other.
type xzReader struct {
	in      *counting
	started bool
	block   *xzBlock // nil between blocks
	check   byte     // the kind of check that the stream has
	blocks  int64
	sizes   hash.Hash // over the sizes of the blocks so far
	dicts   int64     // bytes of all dictionaries so far
	err     error
}

// xzBlock is what is known of the block that is being read.
type xzBlock struct {
	begin         int64 // where it begins in the file, its header included
	header        int64
	packed, plain int64 // what its header says, -1 for nothing
	n             int64 // plain bytes so far
	check         hash.Hash
	lzma2         *lzma.Reader2
}

// counting knows how much was read.
type counting struct {
	r *bufio.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counting) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func newXzReader(r *bufio.Reader) *xzReader { return &xzReader{in: &counting{r: r}} }

// Read implements io.Reader. An error wraps io.ErrUnexpectedEOF for an early end.
func (x *xzReader) Read(p []byte) (int, error) {
	for x.err == nil {
		n, err := x.read(p)
		if err == io.EOF && (x.started || x.sizes == nil) { // not behind a whole stream
			err = io.ErrUnexpectedEOF
		}
		if x.err = err; n > 0 {
			return n, nil
		}
	}
	return 0, x.err
}

// read does one step: bytes of a block, or what stands between blocks and streams.
func (x *xzReader) read(p []byte) (int, error) {
	switch {
	case x.block != nil:
		return x.readBlock(p)
	case !x.started:
		return 0, x.begin()
	}
	at := x.in.n
	size, err := x.in.ReadByte()
	if err != nil {
		return 0, err
	}
	if size == 0 {
		return 0, x.end(at)
	}
	return 0, x.beginBlock(at, size)
}

// begin reads the header of a stream, or the padding before one.
func (x *xzReader) begin() error {
	first := make([]byte, 4)
	if _, err := io.ReadFull(x.in, first); err != nil {
		return err // io.EOF where nothing follows
	}
	if x.sizes != nil && bytes.Equal(first, make([]byte, 4)) {
		return nil
	}
	head := make([]byte, 12)
	copy(head, first)
	x.started = true
	if _, err := io.ReadFull(x.in, head[4:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	if string(head[:6]) != xzMagic || head[6] != 0 || head[7] > 15 || crc32.ChecksumIEEE(head[6:8]) != binary.LittleEndian.Uint32(head[8:]) {
		return errors.New("no header of a stream")
	}
	x.check, x.blocks, x.sizes = head[7], 0, sha256.New()
	if x.newCheck() == nil {
		return unreadable("a check of kind %d", x.check)
	}
	return nil
}

// noCheck is the check of a stream that has none.
type noCheck struct{ hash.Hash }

func (noCheck) Write(p []byte) (int, error) { return len(p), nil }
func (noCheck) Sum([]byte) []byte           { return nil }

// newCheck is nil for a kind that is not known.
func (x *xzReader) newCheck() hash.Hash {
	switch x.check {
	case 0:
		return noCheck{}
	case 1:
		return crc32.NewIEEE()
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		return sha256.New()
	}
	return nil
}

// beginBlock reads the header of a block that begins at a place with its size.
func (x *xzReader) beginBlock(at int64, size byte) error {
	head := make([]byte, (int(size)+1)*4)
	head[0] = size
	if _, err := io.ReadFull(x.in, head[1:]); err != nil {
		return io.ErrUnexpectedEOF
	}
	body, sum := head[:len(head)-4], binary.LittleEndian.Uint32(head[len(head)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return errors.New("a damaged header of a block")
	}
	b, dict, err := parseXzHeader(body)
	if err != nil {
		return err
	}
	if b.plain >= 0 {
		dict = max(min(dict, b.plain), lzma.MinDictCap)
	}
	if x.dicts += dict; x.dicts > maxXzDicts+x.in.n*maxXzDictsRatio {
		return unreadable("dictionaries of %d bytes for %d", x.dicts, x.in.n)
	}
	b.begin, b.header, b.check = at, int64(len(head)), x.newCheck()
	b.lzma2, err = lzma.Reader2Config{DictCap: int(dict)}.NewReader2(x.in)
	x.block = b
	return unexpected(err)
}

// unreadable is the error for what xz files may have and is not taken.
func unreadable(format string, args ...any) error {
	return fmt.Errorf("archive: %w: its xz stream has %s", content.ErrUnsupported, fmt.Sprintf(format, args...))
}

// parseXzHeader reads the header of a block, without its checksum. Errors: ErrUnsupported
// for filters other than LZMA2, and for a dictionary that is too large.
func parseXzHeader(p []byte) (b *xzBlock, dict int64, err error) {
	flags := p[1]
	if flags&0x3c != 0 || flags&3 != 0 {
		return nil, 0, unreadable("filters other than LZMA2")
	}
	r := bytes.NewReader(p[2:])
	b = &xzBlock{packed: -1, plain: -1}
	for _, field := range []struct {
		bit byte
		to  *int64
	}{{0x40, &b.packed}, {0x80, &b.plain}} {
		if flags&field.bit != 0 && err == nil {
			*field.to, err = xzNumber(r)
		}
	}
	var filter, size int64
	if err == nil {
		filter, err = xzNumber(r)
	}
	if err == nil {
		size, err = xzNumber(r)
	}
	if err != nil {
		return nil, 0, err
	}
	if filter != xzFilter {
		return nil, 0, unreadable("filters other than LZMA2")
	}
	code, err := r.ReadByte()
	if err != nil || size != 1 || code > 40 {
		return nil, 0, errors.New("a dictionary of no size")
	}
	if dict = xzDict(code); dict > maxXzDict {
		return nil, 0, unreadable("a dictionary of %d bytes, and %d are taken", dict, maxXzDict)
	}
	return b, dict, nil
}

// xzDict is the size of a dictionary: 4 KiB, 6 KiB, 8 KiB, 12 KiB and so on.
func xzDict(code byte) int64 {
	if code == 40 {
		return 1<<32 - 1
	}
	return (2 | int64(code&1)) << (code/2 + 11)
}

// xzNumber reads a number of up to 63 bits, seven in a byte.
func xzNumber(r io.ByteReader) (n int64, err error) {
	for shift := 0; shift < 63; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		n |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			if b == 0 && shift > 0 {
				break
			}
			return n, nil
		}
	}
	return 0, errors.New("a number of too many bytes")
}

// readBlock reads bytes of the block, and its end.
func (x *xzReader) readBlock(p []byte) (int, error) {
	b := x.block
	n, err := b.lzma2.Read(p)
	b.n += int64(n)
	b.check.Write(p[:n])
	if b.plain >= 0 && b.n > b.plain {
		return 0, errors.New("a block that is longer than its header says")
	}
	if err == io.EOF && b.lzma2.EOS() {
		return n, x.endBlock(b)
	}
	return n, unexpected(err)
}

// endBlock checks a block that was read to its end.
func (x *xzReader) endBlock(b *xzBlock) error {
	packed := x.in.n - b.begin - b.header
	if b.packed >= 0 && packed != b.packed || b.plain >= 0 && b.n != b.plain {
		return errors.New("a block has another size than its header says")
	}
	want := b.check.Sum(nil)
	switch x.check {
	case 1, 4: // the hashes of Go have the highest byte first
		for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
			want[i], want[j] = want[j], want[i]
		}
	}
	if err := x.zeros(packed); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(x.in, got); err != nil {
		return io.ErrUnexpectedEOF
	}
	if !bytes.Equal(got, want) {
		return errors.New("the check of a block does not match")
	}
	x.blocks++
	x.note(b.header+packed+int64(len(want)), b.n)
	x.block = nil
	return nil
}

// zeros reads what fills n bytes up to a multiple of four.
func (x *xzReader) zeros(n int64) error {
	for ; n%4 != 0; n++ {
		b, err := x.in.ReadByte()
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if b != 0 {
			return errors.New("no zeros where there should be")
		}
	}
	return nil
}

// note takes the sizes of a block for the comparison with the index.
func (x *xzReader) note(unpadded, plain int64) { noteSizes(x.sizes, unpadded, plain) }

func noteSizes(h hash.Hash, unpadded, plain int64) {
	_ = binary.Write(h, binary.LittleEndian, [2]int64{unpadded, plain}) // a hash takes anything
}

// end reads the index, which begins at a place with a zero that was read, and the footer
// of a stream.
func (x *xzReader) end(at int64) error {
	sum := crc32.NewIEEE()
	sum.Write([]byte{0})
	r := &summing{x.in, sum}
	n, err := xzNumber(r)
	if err != nil {
		return unexpected(err)
	}
	if n != x.blocks {
		return errors.New("the index has another number of blocks")
	}
	sizes := sha256.New()
	for ; n > 0; n-- {
		unpadded, err := xzNumber(r)
		if err != nil {
			return unexpected(err)
		}
		plain, err := xzNumber(r)
		if err != nil {
			return unexpected(err)
		}
		noteSizes(sizes, unpadded, plain)
	}
	if !bytes.Equal(sizes.Sum(nil), x.sizes.Sum(nil)) {
		return errors.New("the index has other sizes than the blocks")
	}
	for (x.in.n-at)%4 != 0 {
		if b, err := r.ReadByte(); err != nil || b != 0 {
			return errors.New("no zeros where there should be")
		}
	}
	return x.footer(sum.Sum32(), x.in.n-at+4)
}

// footer reads the checksum of an index of size bytes, and the footer of the stream.
func (x *xzReader) footer(sum uint32, size int64) error {
	foot := make([]byte, 16)
	if _, err := io.ReadFull(x.in, foot); err != nil {
		return io.ErrUnexpectedEOF
	}
	rest := foot[4:]
	switch {
	case binary.LittleEndian.Uint32(foot) != sum,
		binary.LittleEndian.Uint32(rest) != crc32.ChecksumIEEE(rest[4:10]),
		(int64(binary.LittleEndian.Uint32(rest[4:]))+1)*4 != size,
		rest[8] != 0, rest[9] != x.check, string(rest[10:]) != xzEndMagic:
		return errors.New("a damaged end of a stream")
	}
	x.started = false
	return nil
}

// summing sums what is read by bytes.
type summing struct {
	r   io.ByteReader
	sum hash.Hash32
}

func (s *summing) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.sum.Write([]byte{b})
	}
	return b, err
}

// unexpected is err where the end of the file is never right.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
