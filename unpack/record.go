package unpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// Record is what is kept about a folder that was unpacked, so that Scan finds what has
// changed since: beside it, or in it where it is a bundle. What was in each layer is not in
// it, for that the image says.
type Record struct {
	Image    oci.Digest `json:"image"`              // its manifest
	Name     string     `json:"name,omitempty"`     // as it was given
	Platform string     `json:"platform,omitempty"` // of the image
	// Inode is that of the root: another folder under the same name is not meant.
	Inode uint64 `json:"inode"`
	// Started is when the first file was made, and Finished when the last was there, by the
	// clock of the file system: what has last changed between the two is as it was unpacked.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// UID is who unpacked it, and Users the user namespace that owners are told in, as
	// /proc/self/uid_map has it.
	UID      int    `json:"uid"`
	Users    string `json:"users,omitempty"`
	Rootless bool   `json:"rootless"`
	Closed   bool   `json:"closed"` // the root has another mode than the image's
	// Mounted says that it shows snapshots, whose owner may read all that is in them where
	// they were made rootless.
	Mounted bool    `json:"mounted,omitempty"`
	Skipped Skipped `json:"skipped"`
}

const (
	recordName   = "dist-unpacked.json"
	recordSuffix = "." + recordName
	// maxRecord bounds a record that is read, in bytes.
	maxRecord = 1 << 20
)

// ReadRecord finds the record of a folder and the root filesystem that it is about, which
// is below the folder where that is a bundle. Errors: ErrNotFound where there is none, or
// only one of another folder; then root is told nevertheless.
func ReadRecord(dir string) (r Record, root string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return r, dir, fsys.Classify(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return r, dir, fsys.Classify(err)
	}
	// What is beside it counts first: a file of that name in it may be the image's.
	r, err = readRecord(recordOf(dir), dir)
	if !errors.Is(err, content.ErrNotFound) {
		return r, dir, err
	}
	root = filepath.Join(dir, rootfsName)
	of, berr := readRecord(filepath.Join(dir, recordName), root)
	if berr == nil {
		return of, root, nil
	}
	if _, serr := os.Lstat(filepath.Join(dir, recordName)); serr == nil {
		return r, dir, content.WithHint(fmt.Errorf("%s: %w: it is a bundle, and its record is of no use: %v", dir, content.ErrInvalid, berr),
			"give its rootfs, and the image with --base")
	}
	return r, dir, err
}

// readRecord reads a record that is to be about a root filesystem.
func readRecord(file, root string) (r Record, err error) {
	is, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%s: %w: nothing tells what it was unpacked from", root, content.ErrNotFound)
	}
	if err == nil && !is.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w: it is no file", file, content.ErrInvalid)
	}
	if err != nil {
		return r, fsys.Classify(err)
	}
	f, err := os.Open(file)
	if err != nil {
		return r, fsys.Classify(err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err == nil {
		err = json.Unmarshal(p, &r)
	}
	if err == nil {
		_, err = oci.ParseDigest(r.Image.String())
	}
	if err != nil {
		return Record{}, fmt.Errorf("%s: %w: %w", file, content.ErrInvalid, err)
	}
	fi, err := os.Lstat(root)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s: %w: it is no folder", root, content.ErrInvalid)
	}
	if err != nil {
		return Record{}, fsys.Classify(err)
	}
	if d, ok := fsys.DetailOf(fi); ok && d.Inode != r.Inode {
		return Record{}, fmt.Errorf("%s: %w: it is another folder than the one that %s is about", root, content.ErrNotFound, file)
	}
	return r, nil
}

// users is the user namespace of this process; "" where the system has none.
func users() string {
	p, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(p)), " ")
}

// allUsers is the map of the namespace that is no other's child.
const allUsers = "0 0 4294967295"

// InUserNamespace says whether this process is in a user namespace below the machine's own.
func InUserNamespace() bool {
	now := users()
	return now != "" && now != allUsers
}

// recordOf is where the record of a root filesystem is.
func recordOf(dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+recordSuffix)
}

// record writes the record into the stage, once all files are there: of a bundle to its
// place.
func (st *stage) record(r Record, root *os.Root, o Options, res Result, shut, bundle bool) error {
	in := st.root
	if bundle {
		in = st.tree
	}
	f, err := in.OpenFile(recordName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fsys.Classify(err)
	}
	defer f.Close()
	// The file is younger than all others.
	fi, err := f.Stat()
	if err != nil {
		return fsys.Classify(err)
	}
	ri, err := root.Stat(".")
	if err != nil {
		return fsys.Classify(err)
	}
	d, _ := fsys.DetailOf(ri)
	r.Started, r.Finished, r.Inode = st.started, fi.ModTime().UTC(), d.Inode
	if r.Mounted = st.mounted; r.Mounted {
		r.Inode = st.inode
	}
	r.Rootless, r.Closed, r.Skipped = o.Rootless, shut, res.Skipped
	r.UID, r.Users = os.Geteuid(), users()
	p, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		_, err = f.Write(append(p, '\n'))
	}
	return fsys.Classify(errors.Join(err, f.Close()))
}
