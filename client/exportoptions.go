package client

import (
	"cmp"
	"io"
	"time"

	"dist.example/oci"
)

// ExportForm is for whom Export writes.
type ExportForm int

// The forms. ExportMixed is an OCI archive that everybody loads; ExportDocker has no more
// than what Docker loads, and refuses the rest; ExportOCI has no manifest.json for
// Docker; ExportLayout is an OCI layout in a folder, which an Output that is a folder or
// ends in a slash is in any case.
const (
	ExportMixed ExportForm = iota
	ExportDocker
	ExportOCI
	ExportLayout
)

// ExportOptions direct Export.
type ExportOptions struct {
	// List are entries to export beside the names. NAME:TAG@DIGEST exports the digest
	// under NAME:TAG, whatever that stands for here.
	List []ListEntry
	// All exports all names but those that are there for a tag alone.
	All bool
	// Platform exports, of an index, the image for this platform alone under its name.
	// nil exports the index with all that is here of it.
	Platform *oci.Platform
	// Output is a file, a folder, a device or a named pipe; "-" is Stdout.
	Output string
	Stdout io.Writer
	Form   ExportForm
	// OCIReferrers lists what is about the images in index.json, too, as cosign and oras
	// want it; NoReferrers leaves all of that behind; NoProvenance says nothing of where
	// blobs come from.
	OCIReferrers, NoReferrers, NoProvenance bool
	// Split is the size in bytes that every volume stays below, 0 for one file.
	Split int64
	// Compress is that of the whole file: "", zstd or gzip.
	Compress string
	// Sign has the bundle signed by the key that Key names.
	Sign bool
	Key  SignOptions // of which Key and Passphrase count
	// Name is the bundle's, for which policies have scopes; it gives it a serial.
	Name string
	// Expires is when a signed bundle is too old to be imported, zero for never.
	Expires time.Time
	// What is known to be at the receiver is left out: For is a site, of which the last
	// receipt counts, or with Since what it was sent; Since is a bundle or a date. Request
	// is a file with what somebody lacks, and nothing else goes along; the images are then
	// those of the request, and none are given beside it. See Client.exportBase.
	For, Since, Request string
	// Lock is a file to write the names with their digests to, when all is done.
	Lock string
}

// ExportedImage is one name of an export.
type ExportedImage struct {
	Name   string // in full, "" for an image that its digest alone says
	Target oci.Descriptor
	// Held and Known count, of an index, the images that are carried and those that it
	// lists; both are 1 for an image alone.
	Held, Known int
	Where       string // FILE:LINE of the list that names it, "" for none

	ref oci.Reference // what Name says
}

// String is the name, or the digest where there is none.
func (i ExportedImage) String() string { return cmp.Or(i.Name, i.Target.Digest.String()) }

// ExportPlan says what an export carries.
type ExportPlan struct {
	Images []ExportedImage
	// Blobs and Bytes are what is carried, and LeftBlobs and LeftBytes what is left out
	// since the receiver has it.
	Blobs, LeftBlobs int
	Bytes, LeftBytes int64
	Referrers        int // manifests about others
	Serial           int64
	// Files are what is written, before compression; a folder has none, and the
	// path of a stream is "-".
	Files []ExportFile
	// Size is that of all Files.
	Size int64
}

// ExportFile is one file that Export writes.
type ExportFile struct {
	Path string
	Size int64 // in bytes, before compression
}

// ExportSummary is the account of an export.
type ExportSummary struct {
	ExportPlan
	Index   oci.Digest // of index.json
	Signed  bool
	Elapsed time.Duration
}
