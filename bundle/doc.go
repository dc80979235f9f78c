// Package bundle reaches images in files: an OCI image layout in a folder
// (Layout), the same in a tar (OCIArchive), and the archives that Docker saves and
// loads (DockerArchive), each a content.Transport; it makes and reads bundles, which are
// such archives with more in them (Outgoing, Reception, Incoming, InPlace), and what sites
// tell each other about them (Receipt, Request); and it shows a whole archive to whoever
// serves it (Library).
//
// # Places
//
// A place is PATH, PATH:NAME or PATH@DIGEST. PATH ends at its first colon (on
// Windows at the first behind a drive letter), so that a path with a colon in it
// cannot be written. NAME is a tag, or a reference with a slash or a colon; it
// chooses what a source reads, and names what a target writes. DIGEST chooses any
// manifest that the place holds, listed or not. One image needs no name; of several,
// one has to be named.
//
// # Names
//
// Each image that is written is one descriptor of index.json with both annotations
// that other programs look for: io.containerd.image.name has the full reference,
// org.opencontainers.image.ref.name the tag alone. Read is either, the first one
// first, since what stands in the second differs from program to program.
//
// # Folders
//
// A blob is written to a temporary file in the folder, synced, and renamed to the
// name of its digest. Finish changes index.json under a lock on the file oci-layout,
// by a new file that is renamed over it: any number of processes may add to one
// layout at once. What is there in index.json and not known here stays. Manifests
// with a subject that were pushed along get descriptors too, without a name,
// because that is where other programs look for referrers in a folder; programs
// that ignore names and want one image alone then have to be told which one.
// Attachments (see content.Attachment) are listed under their tags.
//
// A crash leaves blobs that nothing lists, which the next try finds, and perhaps a
// file .dist-*, which the next target in this folder removes once it is a day old.
//
// # Archives
//
// What is written is one tar that is an OCI layout and, for an image of a single
// platform, has the manifest.json of Docker's archives as well, with the same blobs
// for layers: every loader that is known takes it. Referrers are blobs that nothing
// lists, because many loaders want to see one image; a source finds them all the
// same. So it is with attachments: their tags are in an index that is one of the
// blobs, and listed nowhere. Blobs go into the tar as they come, one at a time, and nothing is spooled:
// small ones wait in memory for their turn, large ones in their source. The tar has
// a temporary name beside its own until Finish renames it, replacing what was
// there. A crash leaves the file under its temporary name.
//
// Headers are USTAR (PAX for blobs of 8 GiB and more), owner 0, mode 0644, and the
// time is the Epoch given, 1970 where none is. The members stand in the order in
// which they were pushed, with oci-layout, index.json and manifest.json last: the
// same pushes in the same order make the same bytes, and several at once do not.
//
// A source makes an index of the tar in one pass over the headers, and then reads
// at offsets; nothing is unpacked. Names that lead out of the archive, or are longer
// than any in an image, are passed over, links are followed inside of it only, sparse members are refused. A compressed
// archive is refused (ErrUnsupported), since nobody can read it at offsets.
//
// # Bundles
//
// A bundle is an archive, or a layout, of which all is known before it is written: an
// Outgoing is laid out, and then written to a stream, a file, volumes or a folder. Its
// documents stand in front of the blobs, so that whoever reads a stream knows of each
// what it is; docs/FORMATS.md has its form. Blobs are read, hashed and written at the
// same time, and nothing is spooled. A file has its name when it is whole and durable;
// volumes get theirs together, the first one last. A crash leaves files FILE.dist-*,
// which the next export to FILE removes once they are a day old. A folder has its blobs
// first and its documents last, and what says which bundle it is never beside an
// index.json of another.
//
// A bundle comes in through a Reception, which reads it once from front to back, whatever
// it is compressed with, or as an Incoming, which reads a plain tar or a folder in place;
// volumes in any order. Either holds it to its contents: nothing comes but what these
// list, in the size that they say, each once, and nothing is missing at the end. The
// contents stand in front, so that whoever takes the blobs can first judge who has signed
// them. Nothing of an archive is written here: blobs go to a Receiver as they come, and
// those of the receiver's that failed are its own to keep or to drop. A receipt is what a
// store has, exactly, in about 30 bytes an object; a request is what an import lacked.
//
// # In place
//
// OpenLibrary shows all that a layout or an archive holds, many images at once, for
// whoever serves it. What reaches what is found out when it is opened, and blobs are
// then read where they stand, each from a file of its reader's own, so that the kernel
// can send it. Library tells how names and repositories come about, and what becomes
// of a place that changes meanwhile.
//
// # What it does not do
//
// It resumes no blob: a target that is killed begins the current blob again. It
// collects no garbage: an image that lost its name in a layout leaves its blobs.
package bundle
