package layer

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"
	"unicode/utf8"
	"unique"

	"dist.example/content"
)

// fileKind is what a path is, as tar writes it.
type fileKind byte

const (
	kindFile    fileKind = tar.TypeReg
	kindDir     fileKind = tar.TypeDir
	kindSymlink fileKind = tar.TypeSymlink
	kindChar    fileKind = tar.TypeChar
	kindBlock   fileKind = tar.TypeBlock
	kindFifo    fileKind = tar.TypeFifo
)

// The types of entries.
const (
	TypeFile        = "file"
	TypeFolder      = "folder"
	TypeLink        = "link" // a symbolic one: a hard link is one more name of a file
	TypeCharDevice  = "character device"
	TypeBlockDevice = "block device"
	TypePipe        = "pipe"
)

// String is the type that an Entry has.
func (k fileKind) String() string {
	switch k {
	case kindFile:
		return TypeFile
	case kindDir:
		return TypeFolder
	case kindSymlink:
		return TypeLink
	case kindChar:
		return TypeCharDevice
	case kindBlock:
		return TypeBlockDevice
	case kindFifo:
		return TypePipe
	}
	return fmt.Sprintf("type %q", byte(k))
}

// file is what the header of a member says, and where its content is. It is never
// changed: names of one file share it, in several trees too.
type file struct {
	kind          fileKind
	mode          uint32 // permissions, and setuid, setgid and sticky
	layer, member int32  // where its header and content are
	uid, gid      int
	size          int64 // of content
	time          time.Time
	user, group   unique.Handle[string]
	link          string // a symbolic link's target
	more          *more
	sum           *[sha256.Size]byte // of content, where a tree has sums
	sparse        bool               // the member has less bytes than the content
}

// more is what few files have.
type more struct {
	major, minor int64
	records      map[string]string // PAX: extended attributes and what systems have besides
}

// newFile parses the header of what is no hard link and no whiteout.
func newFile(h *tar.Header, layer, member int32) (*file, error) {
	f := &file{
		kind: fileKind(h.Typeflag), mode: uint32(h.Mode & 0o7777), layer: layer, member: member,
		uid: h.Uid, gid: h.Gid, time: h.ModTime, user: unique.Make(h.Uname), group: unique.Make(h.Gname),
		sparse: sparse(h),
	}
	if f.sparse && h.Size > MaxPlainSize {
		return nil, fmt.Errorf("%w: a sparse file of more than %d bytes", content.ErrUnsupported, int64(MaxPlainSize))
	}
	records := records(h)
	switch f.kind {
	case tar.TypeCont, tar.TypeGNUSparse:
		f.kind = kindFile
		fallthrough
	case kindFile:
		f.size = h.Size
	case kindSymlink:
		if len(h.Linkname) > MaxPath {
			return nil, fmt.Errorf("%w: its target has more than %d bytes", content.ErrUnsupported, MaxPath)
		}
		f.link = strings.Clone(h.Linkname)
	case kindChar, kindBlock:
		f.more = &more{major: h.Devmajor, minor: h.Devminor}
	case kindDir, kindFifo:
	default:
		return nil, fmt.Errorf("%w: %s", content.ErrUnsupported, f.kind)
	}
	if len(records) > 0 {
		if f.more == nil {
			f.more = &more{}
		}
		f.more.records = records
	}
	return f, nil
}

// impliedFolder is a folder that no member is for, as it is made by those who unpack
// layers.
func impliedFolder() *file { return &file{kind: kindDir, mode: 0o755, time: time.Unix(0, 0)} }

// bytes is what f keeps of its header that has no fixed length.
func (f *file) bytes() int {
	n := len(f.link) + len(owner(f.user)) + len(owner(f.group))
	if f.more != nil {
		for k, v := range f.more.records {
			n += len(k) + len(v)
		}
	}
	return n
}

// records are the PAX records of a member that the fields of its header do not have:
// extended attributes above all. What only tells of the file system that it was packed
// from, and of the tar, is left out.
func records(h *tar.Header) map[string]string {
	kept := map[string]string{}
	for k, v := range h.PAXRecords {
		switch k {
		case "path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime",
			"charset", "hdrcharset", "comment", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "SCHILY.filetype", "SCHILY.realsize":
		default:
			if !strings.HasPrefix(k, sparseKey) {
				kept[strings.Clone(k)] = strings.Clone(v)
			}
		}
	}
	return kept
}

// sparseKey is what keys of PAX records begin with that tell where the holes are.
const sparseKey = "GNU.sparse."

// sparse says whether a member's bytes are not its content.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, sparseKey) {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// hash reads the content of a file.
func (f *file) hash(r io.Reader, buf []byte) error {
	h := sha256.New()
	// Hidden, or the reader would be asked to write by itself, in small steps.
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{r}, buf); err != nil {
		return err
	}
	f.sum = (*[sha256.Size]byte)(h.Sum(nil))
	return nil
}

// header is f as a member of a tar with that path.
func (f *file) header(name string) *tar.Header {
	h := f.named(name)
	h.Typeflag, h.Linkname, h.Size = byte(f.kind), f.link, f.size
	if f.kind == kindDir {
		h.Name = cmp.Or(name, ".") + "/"
	}
	if f.more != nil {
		h.Devmajor, h.Devminor, h.PAXRecords = f.more.major, f.more.minor, maps.Clone(f.more.records)
	}
	return spelled(h)
}

// linkHeader is one more name of f as a member of a tar.
func (f *file) linkHeader(name, target string) *tar.Header {
	h := f.named(name)
	h.Typeflag, h.Linkname = tar.TypeLink, target
	return spelled(h)
}

// named is what all members for f have.
func (f *file) named(name string) *tar.Header {
	return &tar.Header{
		Name: name, Mode: int64(f.mode), Uid: f.uid, Gid: f.gid, Uname: owner(f.user), Gname: owner(f.group), ModTime: f.time,
	}
}

// owner is the name of a user or group, "" where nobody said one.
func owner(h unique.Handle[string]) string {
	if h == (unique.Handle[string]{}) {
		return ""
	}
	return h.Value()
}

// spelled chooses the format that says all that is in a header.
func spelled(h *tar.Header) *tar.Header {
	if !utf8.ValidString(h.Name) || !utf8.ValidString(h.Linkname) {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords["hdrcharset"] = "BINARY"
	}
	if h.ModTime.Nanosecond() != 0 {
		h.Format = tar.FormatPAX // any other rounds it
	}
	return h
}
