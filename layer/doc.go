// Package layer makes and reads the layers of images: tars of folders, plain or
// compressed, with the two digests an image needs of each, and the manifest and
// configuration that bind layers together.
//
// # What a layer made here looks like
//
// Write packs a folder so that the same content gives the same bytes on every
// machine and in every folder:
//
//   - Members stand in the byte order of their names, a folder's name ending in a
//     slash, which also puts every folder before what it holds. The folder that
//     is packed has no member of its own unless a prefix gives it a name.
//   - Headers are USTAR; PAX only where a name, a link or a size does not fit.
//     A name that is not UTF-8 goes into PAX as the bytes it is, announced by
//     hdrcharset=BINARY, since file names are bytes on most systems and such
//     trees exist.
//   - Owner is 0:0 without names. Modes are 0755 for folders and for files their
//     owner may execute, 0644 for all others: the rest of a mode is the umask and
//     the habits of whoever packs, not content. setuid, setgid and sticky bits,
//     extended attributes and hard links (they become files) do not survive;
//     content that needs them comes as a tar made elsewhere. Windows has no
//     executable bit to keep.
//   - Times are whole seconds and, unless SOURCE_DATE_EPOCH says otherwise, 0.
//     With it only newer times are lowered to it, as reproducible-builds.org asks.
//
// Compressed bytes are stable for one version of this program, whatever the kind
// and number of processors; across versions of the compressor they are not, which is
// why an image is compared by its diff_ids.
//
// # Reading
//
// What is read is untrusted. Decompression ends with an error at MaxPlainSize
// bytes, at MaxRatio times the compressed size, and before a zstd window larger
// than MaxWindow is set up. Compression is told from the bytes; a media type
// that says something else is an error.
//
// A Tree is the file system that layers make on top of each other, under caps of its
// own (MaxEntries, MaxHeaderBytes, MaxPath). Squash writes it as one layer, or as one
// on top of those below, in two passes over the layers: content is never kept. Changes
// compares two, and Make tells a Disk of every change, so that the same tree comes into
// being there. An Index is what a layer's members say, with the sums of their content: trees
// of indexes are the same, and Extract makes a part of one on a Disk, of the layers that have
// it; Delta writes the layer that makes one tree of another. Names of members are taken apart before anything is done with them, and
// nothing is ever looked up on a disk.
//
// The package keeps no state, on disk or elsewhere: what Write and Squash were given
// is worth nothing after an error. It does not unpack by itself: package unpack does.
package layer
