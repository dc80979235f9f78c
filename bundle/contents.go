package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// The members of a bundle that an ordinary OCI archive does not have. Other programs
// pass over them.
const (
	// ContentsFile holds Contents where nobody has signed them.
	ContentsFile = "dist-bundle.json"
	// SignedFile holds Contents as the predicate of a signed statement, a sigstore bundle.
	SignedFile = "dist-bundle.sigstore.json"
	// ProvenanceFile holds Provenance.
	ProvenanceFile = "dist-provenance.json"
	// VolumeFile holds Volume, and SumsFile, the last member of a volume, Sums.
	VolumeFile = "dist-volume.json"
	SumsFile   = "dist-volume-sums.json"
)

const (
	// MaxContents bounds the members that say what a bundle holds, signed or not, in
	// bytes.
	MaxContents = 16 << 20
	// contentsVersion is what Contents are written in, and the only one that is read.
	contentsVersion = 1
)

// Contents says what a bundle holds: all of its blobs, and what it has to be on top of.
// It stands before the blobs, so that whoever reads a stream knows of each what it is.
// An unsigned one says nothing that changes from one run to the next: the same content
// gives the same bytes.
type Contents struct {
	Version int `json:"version"`
	// Name of the bundle, for which policies have scopes and receivers remember serials;
	// "" for none (oci.CheckBundleName).
	Name string `json:"name,omitempty"`
	// Serial grows from one bundle of a name to the next: seconds since 1970, or one more
	// than the last. 0 for a bundle without a name.
	Serial int64 `json:"serial,omitempty"`
	// Previous is the digest of index.json of the bundle of that name that was sent before,
	// to the same site where this is for one; "" where there was none. It is told to
	// people: a bundle that was lost costs nothing.
	Previous oci.Digest `json:"previous,omitempty"`
	// Created and Expires are zero where nobody says.
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Creator string    `json:"creator,omitempty"`
	// Base is what the receiver has to have already, nil for nothing.
	Base *Base `json:"base,omitempty"`
	// TotalSize is that of all Blobs.
	TotalSize int64 `json:"totalSize"`
	// Blobs are all that the bundle carries, manifests and what nothing lists among them,
	// by digest.
	Blobs []BlobEntry `json:"blobs"`
	// Documents are the digests of the members that are no blobs, by name: index.json
	// always, manifest.json and ProvenanceFile where they are.
	Documents map[string]oci.Digest `json:"documents"`
	// Referrers are the manifests here that are about others and that index.json does not
	// list.
	Referrers []ReferrerEntry `json:"referrers,omitempty"`
	// Absent are the manifests that an index here lists and that the sender left out or
	// never had, by digest.
	Absent []oci.Digest `json:"absent,omitempty"`
}

// BlobEntry is one blob of Contents.
type BlobEntry struct {
	Digest    oci.Digest `json:"digest"`
	Size      int64      `json:"size"`
	MediaType string     `json:"mediaType,omitempty"` // as what refers to it says
}

// ReferrerEntry is a manifest that is about another.
type ReferrerEntry struct {
	Digest  oci.Digest `json:"digest"`
	Subject oci.Digest `json:"subject"`
	// Tag is that of an attachment, "" for a referrer.
	Tag          string `json:"tag,omitempty"`
	ArtifactType string `json:"artifactType,omitempty"`
}

// Base names what a delta is on top of. But for About it is told to people; whether all is
// there is found out from what the images of index.json reach.
type Base struct {
	// Site is the receiver's name at the sender, and Store the id of its store; both ""
	// where the sender knows no site.
	Site  string `json:"site,omitempty"`
	Store string `json:"store,omitempty"`
	// Receipt is the digest of the receipt that it was made by, "" for none.
	Receipt oci.Digest `json:"receipt,omitempty"`
	// Bundle is the digest of index.json of the bundle it is to be imported after, and
	// Name and Serial that one's; "" and 0 for none.
	Bundle oci.Digest `json:"bundle,omitempty"`
	Name   string     `json:"name,omitempty"`
	Serial int64      `json:"serial,omitempty"`
	// Request is the digest of the request that it answers, "" for none.
	Request oci.Digest `json:"request,omitempty"`
	// Created is when the receipt or that bundle was made.
	Created time.Time `json:"created,omitzero"`
	// Blobs and Size are how much was left out for it.
	Blobs int   `json:"blobs"`
	Size  int64 `json:"size"`
	// About are the manifests about the images that were left out: nothing that index.json
	// reaches names them.
	About AboutList `json:"about,omitempty"`
}

// Provenance says where blobs come from, and who vouched for images, as the sender
// knows it. Nobody has to believe it.
type Provenance struct {
	Version int              `json:"version"`
	Sources []SourceEntry    `json:"sources,omitempty"` // by locator
	Vouched []VouchingRecord `json:"vouched,omitempty"` // by subject and key
}

// SourceEntry is a place and what came from there.
type SourceEntry struct {
	Locator string       `json:"locator"`
	Objects []SourceSeen `json:"objects"` // by digest
}

// SourceSeen is one object that came from a place.
type SourceSeen struct {
	Digest    oci.Digest `json:"digest"`
	FirstSeen time.Time  `json:"firstSeen,omitzero"`
	LastOK    time.Time  `json:"lastOK,omitzero"` // it was last fetched from there, or looked for
}

// VouchingRecord is one signature that the sender has found to be good.
type VouchingRecord struct {
	Subject oci.Digest `json:"subject"`
	Key     oci.Digest `json:"key"` // of its SubjectPublicKeyInfo
	At      time.Time  `json:"at"`
}

// Volume says which part of a bundle a volume is. Each volume is a tar of its own with
// all documents, and some blobs; a blob that is larger than what is left of a volume is
// cut into parts (PartName).
type Volume struct {
	Version int `json:"version"`
	// Bundle is the digest of the contents' member, signed or not, byte for byte.
	Bundle oci.Digest `json:"bundle"`
	// Number counts from 1 to Of.
	Number int `json:"number"`
	Of     int `json:"of"`
}

// Sums are the digests of the parts in a volume, so that it can be checked by itself.
type Sums struct {
	Parts []PartSum `json:"parts"` // in the order in which they stand
}

// PartSum is one part of a blob.
type PartSum struct {
	Blob   oci.Digest `json:"blob"`
	Offset int64      `json:"offset"`
	Size   int64      `json:"size"`
	Digest oci.Digest `json:"digest"` // of the part
}

// Encode gives the one form in which c is written. Errors: ErrUnsupported when it is larger
// than MaxContents: the bundle has too many blobs.
func (c Contents) Encode() ([]byte, error) {
	c.Version = contentsVersion
	if c.Blobs == nil {
		c.Blobs = []BlobEntry{}
	}
	data, err := json.Marshal(c)
	if err == nil && len(data) > MaxContents {
		err = content.WithHint(fmt.Errorf("%s: %w: %d blobs are more than a bundle can list", ContentsFile, content.ErrUnsupported, len(c.Blobs)),
			"export fewer images at a time")
	}
	return data, err
}

// ParseContents reads what Encode wrote, or the predicate of a signed bundle. Keys that
// are not known are passed over, and a key that stands twice is refused. Errors:
// ErrCorrupt for what is malformed or contradicts itself, ErrUnsupported for another
// version.
func ParseContents(data []byte) (Contents, error) {
	var c Contents
	if len(data) > MaxContents {
		return c, tooLarge(ContentsFile, int64(len(data)), MaxContents)
	}
	if err := parseOnce(data, &c); err != nil {
		return c, fmt.Errorf("%s: %w", ContentsFile, err)
	}
	if c.Version != contentsVersion {
		return c, fmt.Errorf("%s: %w: version %d, and only %d is read", ContentsFile, content.ErrUnsupported, c.Version, contentsVersion)
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%s: %w: %w", ContentsFile, content.ErrCorrupt, err)
	}
	return c, nil
}

// parseOnce reads JSON in which no key stands twice, in whatever case, since encoding/json
// asks for none, and which is no larger in memory than its length lets expect. Errors:
// ErrCorrupt.
func parseOnce(data []byte, v any) error {
	r := oci.NewStrictJSON(data)
	err := oci.CheckSparse(data)
	if err == nil {
		_, err = r.Value()
	}
	if err == nil {
		err = r.End()
	}
	if err == nil {
		err = oci.CheckFoldedKeys(data)
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	return nil
}

// check refuses what no writer writes.
func (c Contents) check() error {
	if c.Name != "" {
		if err := oci.CheckBundleName(c.Name); err != nil {
			return err
		}
	}
	var total int64
	for i, b := range c.Blobs {
		if _, err := oci.ParseDigest(b.Digest.String()); err != nil {
			return err
		}
		if b.Size < 0 || b.Size > maxBlobSize || total > maxBlobSize-b.Size {
			return fmt.Errorf("%s: %w: %d bytes", b.Digest, content.ErrInvalid, b.Size)
		}
		if total += b.Size; i > 0 && c.Blobs[i-1].Digest >= b.Digest {
			return fmt.Errorf("%s: %w: the blobs are not in order, each once", b.Digest, content.ErrInvalid)
		}
	}
	if total != c.TotalSize {
		return fmt.Errorf("%w: the blobs have %d bytes, and not %d", content.ErrInvalid, total, c.TotalSize)
	}
	if c.Documents["index.json"] == "" {
		return fmt.Errorf("%w: index.json is not among the documents", content.ErrInvalid)
	}
	for _, d := range c.digests() {
		if _, err := oci.ParseDigest(d.String()); err != nil {
			return err
		}
	}
	return nil
}

// maxBlobSize is more than any blob has, and small enough to be added up.
const maxBlobSize = 1 << 60

// digests are those that stand elsewhere than in Blobs.
func (c Contents) digests() (all []oci.Digest) {
	for _, d := range c.Documents {
		all = append(all, d)
	}
	for _, r := range c.Referrers {
		all = append(all, r.Digest, r.Subject)
	}
	all = append(all, c.Absent...)
	optional := []oci.Digest{c.Previous}
	if c.Base != nil {
		optional = append(optional, c.Base.Receipt, c.Base.Bundle, c.Base.Request)
	}
	return append(all, slices.DeleteFunc(optional, func(d oci.Digest) bool { return d == "" })...)
}

// Blob finds a blob by its digest.
func (c Contents) Blob(d oci.Digest) (BlobEntry, bool) {
	i, ok := slices.BinarySearchFunc(c.Blobs, d, func(b BlobEntry, d oci.Digest) int { return strings.Compare(string(b.Digest), string(d)) })
	if !ok {
		return BlobEntry{}, false
	}
	return c.Blobs[i], true
}

// PartName is the member that holds the part of blob d from an offset on.
func PartName(d oci.Digest, offset int64) string {
	return fmt.Sprintf("dist-parts/%s/%s/%020d", d.Algorithm(), d.Encoded(), offset)
}

// ParsePartName is the inverse of PartName; ok is false for every other name.
func ParsePartName(name string) (d oci.Digest, offset int64, ok bool) {
	words := strings.Split(name, "/")
	if len(words) != 4 || words[0] != "dist-parts" || len(words[3]) != 20 {
		return "", 0, false
	}
	d, err := oci.ParseDigest(words[1] + ":" + words[2])
	if err != nil {
		return "", 0, false
	}
	for _, c := range []byte(words[3]) {
		if c < '0' || c > '9' || offset > maxBlobSize/10 {
			return "", 0, false
		}
		offset = offset*10 + int64(c-'0')
	}
	return d, offset, PartName(d, offset) == name
}
