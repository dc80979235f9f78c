package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// exportTarget is where an export goes, and in which form.
type exportTarget struct {
	path string
	kind exportKind
	form bundle.Form
}

type exportKind int

const (
	exportToFile exportKind = iota
	exportToStream
	exportToFolder
	exportToDevice // or a named pipe, or what is open already (realOutput)
)

// whereTo tells the kinds of outputs apart.
func whereTo(o ExportOptions) exportTarget {
	t := exportTarget{path: o.Output}
	switch o.Form {
	case ExportDocker:
		t.form = bundle.FormDocker
	case ExportOCI:
		t.form = bundle.FormOCI
	}
	fi, err := os.Stat(o.Output)
	real, stream := realOutput(o.Output)
	switch {
	case o.Output == "-" && o.Form != ExportLayout:
		t.kind = exportToStream
	case o.Form == ExportLayout || strings.HasSuffix(filepath.ToSlash(o.Output), "/") || err == nil && fi.IsDir():
		t.kind, t.form = exportToFolder, bundle.FormFolder
	case stream:
		t.kind = exportToDevice
	default:
		t.path = real
	}
	return t
}

// check refuses options that the output does not go with.
func (t exportTarget) check(o ExportOptions) error {
	fi, err := os.Stat(filepath.Clean(t.path))
	switch folder := t.kind == exportToFolder; {
	case folder && err == nil && !fi.IsDir():
		return content.WithHint(fmt.Errorf("%w: it is there, and no folder", content.ErrInvalid), "a layout wants the name of a folder, which is made if need be")
	case folder && o.Output == "-":
		return fmt.Errorf("%w: a layout is a folder, and no stream", content.ErrInvalid)
	case folder && o.Form != ExportMixed && o.Form != ExportLayout:
		return fmt.Errorf("%w: a folder is an OCI layout; an archive wants the name of a file", content.ErrInvalid)
	case folder && o.Compress != "":
		return fmt.Errorf("%w: a folder is not compressed", content.ErrInvalid)
	case o.Split != 0 && t.kind != exportToFile:
		return fmt.Errorf("%w: volumes are files FILE.001, FILE.002 and so on", content.ErrInvalid)
	case o.Split != 0 && o.Compress != "":
		return fmt.Errorf("%w: how large a compressed volume becomes is not known before", content.ErrInvalid)
	case o.Form == ExportDocker && o.Split != 0:
		return content.WithHint(fmt.Errorf("%w: Docker wants to find every layer whole in one archive", content.ErrInvalid), "without --docker the volumes are a bundle that dist import takes")
	case o.Form == ExportDocker && o.For+o.Since+o.Request != "":
		return fmt.Errorf("%w: Docker wants to find everything in its archive", content.ErrInvalid)
	}
	return nil
}

// files are what is written.
func (t exportTarget) files(sizes []int64, volumes bool) (files []ExportFile) {
	for i, n := range sizes {
		f := ExportFile{Path: t.path, Size: n}
		if volumes {
			f.Path = bundle.VolumeName(t.path, i+1)
		}
		files = append(files, f)
	}
	return files
}

// write writes the bundle. A file is written again when damage that was met on the way
// has been healed; a stream has got a part by then.
func (e *export) write(ctx context.Context, out *bundle.Outgoing) error {
	if err := e.fits(out); err != nil {
		return e.told(err)
	}
	err := e.writeOnce(ctx, out)
	damaged := new(bundle.DamagedBlob)
	if !errors.As(err, &damaged) || !e.mends(ctx, damaged.Digest) {
		return e.told(err)
	}
	if e.to.kind == exportToStream || e.to.kind == exportToDevice {
		return content.WithHint(e.told(err), "it has been healed: run it again")
	}
	return e.told(e.writeOnce(ctx, out))
}

// told says of an error where to the export was.
func (e *export) told(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("export to %s: %w", e.to.path, err)
}

// mends lets the store see for itself that a blob is damaged, and says whether it has
// been healed.
func (e *export) mends(ctx context.Context, d oci.Digest) bool {
	asItIs := blobstore.AsItIs(ctx)
	return e.store.Check(asItIs, d) != nil && e.c.heal(asItIs, d) == nil
}

func (e *export) writeOnce(ctx context.Context, out *bundle.Outgoing) error {
	e.alone = true
	switch e.to.kind {
	case exportToStream:
		return out.WriteTo(ctx, e.o.Stdout)
	case exportToDevice:
		return e.writeDevice(ctx, out)
	case exportToFolder:
		var err error
		if e.alone, err = out.WriteFolder(ctx, e.to.path); err == nil && !e.alone {
			e.c.opts.Warn(fmt.Sprintf("%s has other images or blobs, too: it is no bundle, and says nothing of where all of it comes from", e.to.path))
		}
		return err
	}
	err := out.WriteFile(ctx, e.to.path)
	if err == nil && e.o.Split > 0 {
		e.warnOfStale(len(out.Volumes()))
	}
	return err
}

// fits refuses what the disk has no room for, before anything is written. How much a
// compressed file takes is not known.
func (e *export) fits(out *bundle.Outgoing) error {
	if e.to.kind != exportToFile || e.o.Compress != "" {
		return nil
	}
	var need int64
	for _, n := range out.Volumes() {
		need += n
	}
	free := fsys.FreeBytes
	if e.c.opts.FreeBytes != nil {
		free = e.c.opts.FreeBytes
	}
	have, err := free(filepath.Dir(e.to.path))
	if err != nil || uint64(need) <= have {
		return nil // who does not tell is found out by writing
	}
	return fmt.Errorf("%w: it takes %s, and %s are free", content.ErrNoSpace, oci.HumanSize(need), oci.HumanSize(int64(have)))
}

// writeDevice writes to what is there. To open a pipe takes somebody who reads it.
func (e *export) writeDevice(ctx context.Context, out *bundle.Outgoing) error {
	flag := os.O_WRONLY
	if fi, err := os.Stat(e.to.path); err == nil && fi.Mode().IsRegular() {
		flag |= os.O_APPEND // of this process, opened by another one perhaps to append
	}
	f, err := fsys.OpenPatiently(ctx, e.to.path, flag)
	if err != nil {
		return fsys.Classify(err)
	}
	err = out.WriteTo(ctx, f)
	if fi, serr := f.Stat(); err == nil && serr == nil && fi.Mode()&fs.ModeDevice != 0 && fi.Mode()&fs.ModeCharDevice == 0 {
		err = fsys.Classify(f.Sync())
	}
	return errors.Join(err, f.Close())
}

// warnOfStale tells of volumes that an earlier, larger export has left behind the last
// one.
func (e *export) warnOfStale(volumes int) {
	next := bundle.VolumeName(e.to.path, volumes+1)
	if _, err := os.Lstat(next); err == nil {
		e.c.opts.Warn(fmt.Sprintf("%s is of another bundle: this one has %d volumes", next, volumes))
		e.c.opts.Warn("hint: remove it, and those behind it, or name the volumes one by one at import")
	}
}
