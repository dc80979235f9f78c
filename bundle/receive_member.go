package bundle

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// tarReception is one tar of a Reception.
type tarReception struct {
	r     *Reception
	place string
	seen  map[string]bool
	head  Head
	docs  map[string]oci.Digest // of this tar
	begun bool
	odd   error // the first thing that a bundle must not have, while there are no contents
	sums  []PartSum
	done  bool // the sums came, which are last
}

// documentLimit says how long a member may be that is read into memory, and which they are.
func documentLimit(name string) (limit int64, ok bool) {
	switch name {
	case "oci-layout", VolumeFile:
		return maxLayoutFile, true
	case "index.json":
		return oci.MaxManifestSize, true
	case "manifest.json":
		return maxDockerManifest, true
	case ContentsFile:
		return MaxContents, true
	case SignedFile:
		return sign.MaxSigned, true
	case ProvenanceFile:
		return maxProvenance, true
	case SumsFile:
		return maxSums, true
	}
	return 0, false
}

const (
	// maxProvenance bounds a ProvenanceFile.
	maxProvenance = 64 << 20
	// maxSums bounds a SumsFile. A volume has two parts, as a rule.
	maxSums = 1 << 20
)

// corrupt is the error for a member that a bundle must not have.
func corrupt(name, format string, args ...any) error {
	return fmt.Errorf("%.200q: %w: %s", name, content.ErrCorrupt, fmt.Sprintf(format, args...))
}

// memberName is what a member is called within the archive, "" for what has no name there,
// and why a bundle must not have it, "" for no reason.
func memberName(h *tar.Header) (name, odd string) {
	raw := strings.TrimPrefix(h.Name, "./")
	if h.Typeflag == tar.TypeDir {
		raw = strings.TrimSuffix(raw, "/")
		if raw == "" || raw == "." {
			return "", ""
		}
	}
	name = path.Clean(h.Name)
	if !fs.ValidPath(name) || name == "." || len(name) > maxName {
		return "", "a name that leads out of the archive, or is too long"
	}
	if name != raw {
		return name, "a name in a form that no bundle has"
	}
	switch h.Typeflag {
	case tar.TypeReg:
		if isSparse(h) {
			return name, "a sparse file"
		}
	case tar.TypeDir:
	case tar.TypeLink, tar.TypeSymlink:
		return name, "a link"
	default:
		return name, "neither a file nor a folder"
	}
	return name, ""
}

// member takes one member of the tar.
func (t *tarReception) member(ctx context.Context, h *tar.Header, in io.Reader) error {
	name, odd := memberName(h)
	if t.done {
		return corrupt(h.Name, "it stands behind %s", SumsFile)
	}
	if odd == "" && h.Typeflag == tar.TypeReg {
		if t.seen[name] {
			odd = "it comes twice"
		}
		t.seen[strings.Clone(name)] = true // which may be part of a long header
	}
	if odd != "" {
		err := corrupt(h.Name, "%s", odd)
		if t.head.Contents != nil {
			return err
		}
		if t.odd == nil {
			t.odd = err
		}
	}
	if limit, ok := documentLimit(name); ok {
		if h.Typeflag != tar.TypeReg || isSparse(h) {
			return corrupt(name, "it is no ordinary file")
		}
		return t.document(name, h.Size, limit, in)
	}
	switch {
	case name == "", h.Typeflag == tar.TypeDir:
		return nil
	case h.Typeflag == tar.TypeLink, h.Typeflag == tar.TypeSymlink:
		t.link(h, name)
		return nil
	case h.Typeflag != tar.TypeReg, isSparse(h):
		return nil // where somebody needs it, it is missing
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	b := Coming{BlobEntry{Size: h.Size}, name, in}
	if d, ok := blobDigest(name); ok {
		b.Digest = d
		return t.blob(ctx, b)
	}
	if d, offset, ok := ParsePartName(name); ok && t.head.Volume != nil {
		b.Digest = d
		return t.part(ctx, b, offset)
	}
	return t.file(ctx, b)
}

// link notes a link of an archive of Docker's.
func (t *tarReception) link(h *tar.Header, name string) {
	to := path.Clean(h.Linkname)
	if h.Typeflag == tar.TypeSymlink {
		to = path.Join(path.Dir(name), h.Linkname)
	}
	if len(to) > maxName || path.IsAbs(h.Linkname) {
		return
	}
	t.r.files[strings.Clone(name)] = received{link: strings.Clone(to)}
}

// document reads a member that says something of the others.
func (t *tarReception) document(name string, size, limit int64, in io.Reader) error {
	if size > limit {
		return tooLarge(name, size, limit)
	}
	if _, twice := t.docs[name]; twice {
		return corrupt(name, "it comes twice")
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(in, data); err != nil {
		return unexpectedEnd(name, err)
	}
	if t.docs == nil {
		t.docs = map[string]oci.Digest{}
	}
	t.docs[name] = oci.DigestBytes(data)
	if t.r.docs[name] == nil || name == SumsFile || name == VolumeFile {
		t.r.docs[name] = data
	}
	switch name {
	case ContentsFile, SignedFile:
		return t.contents(name, data)
	case VolumeFile:
		return t.volume(data)
	case SumsFile:
		return t.compareSums(data)
	}
	if t.head.Contents != nil {
		return t.listed(name)
	}
	return nil
}

// unexpectedEnd is for a member that ends before its size.
func unexpectedEnd(name string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return corrupt(name, "the tar ends in its middle")
	}
	return err
}

// contents reads what the bundle says that it holds. From then on that counts, and for
// what came before, too.
func (t *tarReception) contents(name string, data []byte) error {
	switch {
	case t.begun:
		return corrupt(name, "it stands behind a blob, and has to stand before all of them")
	case t.head.Contents != nil:
		return corrupt(name, "there are two of it: %s and %s", ContentsFile, SignedFile)
	case t.odd != nil:
		return t.odd
	}
	h, err := parseHead(name, data)
	if err != nil {
		return err
	}
	h.Volume = t.head.Volume
	t.head = h
	for doc := range t.docs {
		if err := t.listed(doc); err != nil {
			return err
		}
	}
	return t.sameBundle()
}

// parseHead reads the contents in the member of that name.
func parseHead(name string, data []byte) (Head, error) {
	h := Head{Member: data, Signed: name == SignedFile}
	predicate := data
	if h.Signed {
		s, err := sign.ParseSigned(data)
		if err != nil {
			return h, fmt.Errorf("%s: %w", name, err)
		}
		predicate, h.Index = s.Predicate, s.Index
	}
	c, err := ParseContents(predicate)
	if err != nil {
		return h, err
	}
	if h.Signed && c.Documents["index.json"] != h.Index {
		return h, corrupt(name, "it is signed for another index.json than it lists")
	}
	h.Contents, h.Index = &c, c.Documents["index.json"]
	return h, nil
}

// listed holds a document of the tar to what the contents say.
func (t *tarReception) listed(name string) error {
	switch name {
	case "oci-layout", ContentsFile, SignedFile, VolumeFile, SumsFile:
		return nil
	}
	switch want := t.head.Contents.Documents[name]; {
	case want == "":
		return corrupt(name, "the contents do not list it")
	case want.Algorithm() != oci.SHA256:
		return fmt.Errorf("%s: %w: its digest is no SHA-256", name, content.ErrUnsupported)
	case want != t.docs[name]:
		return corrupt(name, "it is not what the contents say")
	}
	return nil
}

// volume reads which part of a bundle the tar is.
func (t *tarReception) volume(data []byte) error {
	if t.begun {
		return corrupt(VolumeFile, "it stands behind a blob")
	}
	v, err := ParseVolume(data)
	if err != nil {
		return err
	}
	t.head.Volume = &v
	return t.sameBundle()
}

// sameBundle checks that a volume and its contents belong together, and to the volumes
// that came before.
func (t *tarReception) sameBundle() error {
	v := t.head.Volume
	if v == nil || t.head.Contents == nil {
		return nil
	}
	if v.Bundle != oci.DigestBytes(t.head.Member) {
		return corrupt(VolumeFile, "it belongs to other contents")
	}
	if !t.r.begun {
		return nil
	}
	first := t.r.head.Volume
	switch {
	case first == nil, first.Bundle != v.Bundle:
		return fmt.Errorf("volume %d: %w: it is of the bundle %s, and %s of another", v.Number, content.ErrCorrupt, v.Bundle, t.r.tars[0])
	case first.Of != v.Of:
		return fmt.Errorf("volume %d: %w: it is one of %d, and %s one of %d", v.Number, content.ErrCorrupt, v.Of, t.r.tars[0], first.Of)
	case t.r.volumes[v.Number] != "":
		return fmt.Errorf("volume %d: %w: it was there already, in %s", v.Number, content.ErrCorrupt, t.r.volumes[v.Number])
	}
	return nil
}

// begin is for before the first blob: what the tar says of itself is known.
func (t *tarReception) begin(ctx context.Context) error {
	if t.begun {
		return nil
	}
	t.begun = true
	switch v := t.head.Volume; {
	case v != nil && t.head.Contents == nil:
		return corrupt(VolumeFile, "a volume without contents")
	case v == nil && t.r.begun:
		return fmt.Errorf("%w: it is no volume of the bundle that %s is of", content.ErrCorrupt, t.r.tars[0])
	case v != nil:
		t.r.volumes[v.Number] = t.place
	}
	if t.r.tars = append(t.r.tars, t.place); !t.r.begun {
		t.r.head, t.r.begun = t.head, true
	}
	return t.r.to.Begin(ctx, t.head)
}

// blob takes a blob that is whole.
func (t *tarReception) blob(ctx context.Context, b Coming) error {
	if t.head.Contents != nil {
		e, err := t.entry(b)
		if err == nil && e.Size != b.Size {
			err = corrupt(b.Name, "it has %d bytes, and the contents say %d", b.Size, e.Size)
		}
		if err != nil {
			return err
		}
		b.BlobEntry = e
	}
	_, twice := t.r.blobs[b.Digest]
	if _, cut := t.r.parts[b.Digest]; (twice || cut) && t.head.Contents != nil {
		return corrupt(b.Name, "it comes twice")
	}
	if twice {
		return nil
	}
	t.r.blobs[b.Digest] = b.Size
	_, err := t.r.to.Blob(ctx, b)
	return err
}

// entry is what the contents say of a blob.
func (t *tarReception) entry(b Coming) (BlobEntry, error) {
	e, ok := t.head.Contents.Blob(b.Digest)
	if !ok {
		return e, corrupt(b.Name, "the contents do not list it")
	}
	return e, nil
}

// part takes a part of a blob.
func (t *tarReception) part(ctx context.Context, b Coming, offset int64) error {
	e, err := t.entry(b)
	switch {
	case err != nil:
		return err
	case b.Size <= 0 || b.Size > e.Size || offset > e.Size-b.Size || b.Size == e.Size:
		return corrupt(b.Name, "a part of %d bytes of a blob of %d", b.Size, e.Size)
	}
	if _, whole := t.r.blobs[b.Digest]; whole {
		return corrupt(b.Name, "the blob came whole before")
	}
	if t.r.parts[b.Digest] += b.Size; t.r.parts[b.Digest] > e.Size {
		return corrupt(b.Name, "there is more of the blob than it has")
	}
	sum := oci.SHA256.Digester()
	read := &tallied{r: io.TeeReader(b.Reader, sum.Hash())}
	b.Reader = read
	if err := t.r.to.Part(ctx, e, offset, b); err != nil {
		return err
	}
	p := PartSum{Blob: b.Digest, Offset: offset, Size: b.Size}
	if read.n == b.Size { // else nobody needs it
		p.Digest = sum.Digest()
	}
	t.sums = append(t.sums, p)
	return nil
}

// tallied counts what is read.
type tallied struct {
	r io.Reader
	n int64
}

func (t *tallied) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	return n, err
}

// compareSums holds the parts of the volume to what its last member says.
func (t *tarReception) compareSums(data []byte) error {
	if t.head.Volume == nil {
		return corrupt(SumsFile, "the archive is no volume")
	}
	var s Sums
	if err := parseOnce(data, &s); err != nil {
		return fmt.Errorf("%s: %w", SumsFile, err)
	}
	t.done = true
	if len(s.Parts) != len(t.sums) {
		return corrupt(SumsFile, "it tells of %d parts, and there are %d", len(s.Parts), len(t.sums))
	}
	for i, p := range s.Parts {
		got := t.sums[i]
		if got.Digest == "" {
			got.Digest = p.Digest
		}
		if got != p {
			return corrupt(PartName(got.Blob, got.Offset), "it is not what %s says", SumsFile)
		}
	}
	return nil
}

// file takes a member that is called otherwise than blobs are. In an archive of Docker's
// that may be a layer.
func (t *tarReception) file(ctx context.Context, b Coming) error {
	if t.head.Contents != nil {
		return corrupt(b.Name, "the contents do not list it")
	}
	if t.docs["index.json"] != "" {
		return nil
	}
	d, err := t.r.to.Blob(ctx, b)
	if err == nil {
		t.r.files[strings.Clone(b.Name)] = received{digest: d, size: b.Size}
	}
	return err
}

// end is for behind the last member.
func (t *tarReception) end(ctx context.Context) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	if t.head.Volume != nil && !t.done {
		return corrupt(SumsFile, "it is missing, and is the last member of every volume")
	}
	if c := t.head.Contents; c != nil {
		for doc := range c.Documents {
			if t.docs[doc] == "" {
				return corrupt(doc, "the contents list it, and it is missing")
			}
		}
	}
	return t.r.to.End(ctx, t.head)
}

// Volumes are the numbers of the volumes that came, in order.
func (r *Reception) Volumes() []int {
	var all []int
	for n := range r.volumes {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// Complete checks that all that the contents list has come. It is for a bundle in one
// piece, or all of whose volumes came. Errors: ErrCorrupt.
func (r *Reception) Complete() error {
	if r.head.Contents == nil {
		return nil
	}
	for _, b := range r.head.Contents.Blobs {
		if _, whole := r.blobs[b.Digest]; !whole && r.parts[b.Digest] != b.Size {
			return corrupt(blobName(b.Digest), "the contents list it, and it is missing")
		}
	}
	return nil
}

// parseProvenance reads a ProvenanceFile.
func parseProvenance(data []byte) (Provenance, error) {
	var p Provenance
	if err := parseOnce(data, &p); err != nil {
		return p, fmt.Errorf("%s: %w", ProvenanceFile, err)
	}
	if p.Version != contentsVersion {
		return p, fmt.Errorf("%s: %w: version %d, and only %d is read", ProvenanceFile, content.ErrUnsupported, p.Version, contentsVersion)
	}
	return p, nil
}
