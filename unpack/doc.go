// Package unpack makes root filesystems of images, and bundles that OCI runtimes start.
//
// # How
//
// The layers go into a layer.Tree, one on top of the other, which finds out what each
// member means: which whiteout takes what away, where a symbolic link on the way leads,
// what gives way to what. So it is in memory that links are followed and names are taken
// apart; on the disk there is nothing left to find out. Every entry is made in a folder
// that was made here, by its bare name, through an os.Root of that folder, and no file is
// ever opened that was not created in the same moment. Whoever swaps a folder for a link
// to elsewhere meanwhile gets an error out of it, and not a file there.
//
// Decompression, the digest of the tar and the writing run beside each other, and the
// decompression of the next layer beside that. Each layer is read to its end and held to
// the digest of its blob and to its diff_id; what a tar may expand to is bounded by the caps
// of package layer and by Options.MaxSize.
//
// # What is kept
//
// Types, permissions with setuid, setgid and sticky bits, times of modification in
// nanoseconds, symbolic links as they are, hard links, holes of files whose tar has none of
// their bytes, extended attributes, and, for root, owners by their numbers and devices.
// What cannot be is counted (Skipped): owners and devices are root's to give, some extended
// attributes too, and file systems lack some. Extended attributes that tell overlayfs what a
// folder stands for are never set: they would make an image say what lies in other folders
// of a mount.
//
// What root unpacks has programs that are setuid and devices as the image has them, and
// every user of the machine may come to them, unless a folder above is closed. Without
// root the root of the tree is closed to others.
//
// # Bundles
//
// A bundle (runtime-spec, bundle.md) has the tree in rootfs and a config.json, which says
// what the image's configuration says (image-spec, conversion.md): command, environment,
// user, working folder, volumes, annotations. What an image does not say is as the usual
// runtimes have it, with less where they differ, and without a filter of system calls. The
// bundle is closed to others instead of its tree, which other users of the container have
// to come into.
//
// # User namespaces
//
// Who is not root can have owners in a namespace of users (Remap): the program runs again
// in it, as its root, and gives owners among the numbers that it maps. What is outside of
// those is refused. DIST_USER_NAMESPACE in its environment tells it how far it is.
//
// # Parts, and what has changed
//
// Copy makes a folder of a part of an image, from the indexes of its layers: permissions and
// times alone come along, and a layer is read only as far as it takes. Scan is the other
// way: what a folder has now, as an index, with what the image says of all that could not be
// made of it.
//
// # Snapshots
//
// Snapshots are the layers of an image, each by itself in a folder of the caller's: the part
// of the tree that it changes, made as overlayfs has it (whiteouts as devices 0:0, folders
// anew by an extended attribute), and an index of that with a sum for each file. A folder
// that is made of them is a copy, by shared blocks or held to the sums. An Overlay has the
// kernel lay them over each other: what is written goes to a folder beside, which has a record
// of the mount (Mount) and is not removed unasked. Snapshots are never written to again; the
// folder that they are in is to be closed to others, for files in it may be setuid. Those made
// without root lack what was left out then, so who reads them is who made them.
//
// # Nothing that only looks finished
//
// Everything is made in a folder beside the one that is asked for, named like it with a
// dot before and .dist-unpack behind, and gets its name in one step, once all of it is
// whole and on the disk. A process that is killed leaves that folder; the next one that
// unpacks to the same name throws it away and begins again. While one is at work a lock
// in it keeps others out.
//
// # What it does not do
//
// It knows no store: whoever calls it has the layers. It starts nothing but itself and the
// programs that map users. Layers of Windows are refused.
package unpack
