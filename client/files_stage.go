package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"dist.example/content"
	"dist.example/fsys"
)

// addFile writes a part as a file and verifies it.
func (w *filesWriter) addFile(ctx context.Context, p titledPart) error {
	f, err := w.create(p.name, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := fill(ctx, w.s, p.desc, f); err != nil {
		return fsys.Classify(err)
	}
	w.entries = append(w.entries, staged{name: p.name, size: p.desc.Size})
	return fsys.Classify(f.Close())
}

// create makes a file that is not there yet, and the folders above it.
func (w *filesWriter) create(name string, mode fs.FileMode) (*os.File, error) {
	if err := w.folders(path.Dir(name)); err != nil {
		return nil, err
	}
	f, err := w.stage.OpenFile(filepath.FromSlash(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	return f, w.fresh(name, err)
}

// fresh words that a name is taken: the stage begins empty, so that the artifact has
// it twice, in the eyes of this file system.
func (w *filesWriter) fresh(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q: %w: it stands there twice", name, content.ErrInvalid)
	}
	return w.located(err)
}

// folders makes a folder and those above it. What is there has to be a folder and no
// link: else two entries would have one name, or an entry would be written
// through a link that the artifact itself brought.
func (w *filesWriter) folders(name string) error {
	if name == "." || w.made[name] {
		return nil
	}
	if err := w.folders(path.Dir(name)); err != nil {
		return err
	}
	local := filepath.FromSlash(name)
	err := w.stage.Mkdir(local, 0o777)
	if errors.Is(err, fs.ErrExist) {
		fi, lerr := w.stage.Lstat(local)
		if lerr != nil {
			return w.located(lerr)
		}
		if !fi.IsDir() {
			return fmt.Errorf("%q: %w: it stands there as a folder and as something else", name, content.ErrInvalid)
		}
		err = nil // in other letters, where case does not count
	}
	if err != nil {
		return w.located(err)
	}
	w.made[name] = true
	w.entries = append(w.entries, staged{name: name, kind: stagedFolder})
	return nil
}

// place gives everything its name in the folder, or nothing if something is in the
// way.
func (w *filesWriter) place(ctx context.Context) ([]WrittenFile, error) {
	for _, e := range w.entries {
		if err := w.free(e); err != nil {
			return nil, err
		}
	}
	written := []WrittenFile{}
	for _, e := range w.entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := w.settle(e); err != nil {
			return nil, err
		}
		if e.kind != stagedFolder {
			w.c.hook("files.placed")
			written = append(written, WrittenFile{e.name, e.size})
		}
	}
	return written, nil
}

// free refuses what is in the way of e. Folders come before what they hold, so that
// nothing is looked up through a link.
func (w *filesWriter) free(e staged) error {
	fi, err := w.root.Lstat(filepath.FromSlash(e.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return w.located(err)
	case e.kind == stagedFolder && fi.IsDir():
		return nil
	case e.kind == stagedFolder:
		return fmt.Errorf("%s: %w: it is to be a folder, and is none", w.full(e.name), content.ErrConflict)
	case fi.IsDir():
		return fmt.Errorf("%s: %w: it is a folder", w.full(e.name), content.ErrConflict)
	case w.o.Force:
		return nil
	}
	return w.taken(e.name)
}

func (w *filesWriter) taken(name string) error {
	return content.WithHint(fmt.Errorf("%s: %w: it is there already", w.full(name), content.ErrConflict), "--force writes over it")
}

func (w *filesWriter) full(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

// settle moves one entry into place. Without Force a file gets its name by a link,
// which never replaces; where the file system has none, and for symbolic links, by
// looking first.
func (w *filesWriter) settle(e staged) error {
	to := filepath.FromSlash(e.name)
	from := filepath.Join(w.staging, to)
	switch {
	case e.kind == stagedFolder:
		err := w.root.Mkdir(to, 0o777)
		if errors.Is(err, fs.ErrExist) {
			return w.free(e)
		}
		return w.located(err)
	case e.kind == stagedFile && !w.o.Force:
		err := w.root.Link(from, to)
		if err == nil {
			return nil
		}
		if errors.Is(err, fs.ErrExist) {
			return w.taken(e.name)
		}
	}
	if err := w.free(e); err != nil {
		return err
	}
	return w.located(w.root.Rename(from, to))
}
