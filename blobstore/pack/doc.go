// Package pack is the format of the files that hold a store's small blobs: many
// to a file, each behind a header that says everything about it, so that a pack
// can be read, verified and searched without the catalog. It appends to buffers,
// reads through io.ReaderAt, and neither opens files nor locks nor syncs; the
// store does (package blobstore).
//
// # Format
//
// Little endian. A file begins with a header of 64 bytes:
//
//	 0  "DISTPK01"
//	 8  uuid of the store, 16 bytes
//	24  pack id, u64
//	32  created, u64, seconds since 1970 UTC
//	40  zero, 20 bytes
//	60  crc32c of bytes 0 to 59, u32
//
// Records follow without gaps or alignment: a header of 64 bytes where the
// digest is a sha256, 96 where it is a sha512, and the payload.
//
//	 0  magic, the bytes D1 50 4B 52
//	 4  kind, u8: 1 blob, 2 note
//	 5  algorithm, u8: 1 sha256, 2 sha512
//	 6  codec, u8: 0 raw, 1 zstd
//	 7  flags, u8: none is given out yet
//	 8  raw size, u64: of the content
//	16  stored size, u64: of the payload
//	24  digest of the content, 32 or 64 bytes
//	56  media hint, u32 (at 88 with sha512), see MediaHint
//	60  crc32c of the header before it, u32 (at 92)
//
// The payload of a note is JSON, see Note. The payload has no checksum of its
// own: whoever reads it checks the digest of what it decodes to.
//
// # Invariants
//
// The bytes below a pack's recorded end never change. Headers parse in one way
// and print back to the same bytes. What is read is capped before memory is
// taken for it: MaxRecord for the payload and for what it decodes to, MaxNote
// for notes. Kinds, codecs, flags and note types are open sets: a scan walks
// over those it does not know and reports them, a read refuses them with
// content.ErrUnsupported. Algorithms are not, since the header's length depends
// on them.
//
// # Damage and crashes
//
// An append that a crash broke off leaves junk at the recorded end or past it:
// Scan stops there and says nothing. A bad header before the end is damage: Scan
// reports the stretch and goes on at the next record. Where one bit of the header
// is wrong, its checksum tells which, and so where that is; else it is the next
// header with a good checksum, and what comes after such a gap is marked Salvaged,
// because a blob may contain what looks like records: a blob is proved by its
// digest all the same, a note is not. A flipped bit in a payload is found when it is read.
package pack
