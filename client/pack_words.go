package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// packWord is one argument of Pack, taken apart by its letters alone.
type packWord struct {
	// Key is what stands before the first "=", "" for none; Value is the rest: an id
	// or a path.
	Key, Value string
	// Path and Type are Value as PATH:TYPE, if it can be read so. A file that is
	// called Value wins all the same.
	Path, Type string
}

// parseWord takes [KEY=]VALUE apart. What stands before a "=" is a key only if it
// has the letters of one, so that ./a=b is always the file of that name.
func parseWord(word string) (packWord, error) {
	w := packWord{Value: word}
	if key, value, ok := strings.Cut(word, "="); ok && isKey(key) {
		w.Key, w.Value = key, value
	}
	if w.Value == "" {
		return packWord{}, fmt.Errorf("%q: %w: want an id or a path", word, content.ErrInvalid)
	}
	if i := strings.LastIndexByte(w.Value, ':'); i > 0 {
		if _, err := oci.ParseMediaType(w.Value[i+1:]); err == nil {
			w.Path, w.Type = w.Value[:i], w.Value[i+1:]
		}
	}
	return w, nil
}

// isKey says whether s is letters, digits and "._/-", the first a letter or digit.
func isKey(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || strings.IndexByte("._/-", c) < 0) {
			return false
		}
	}
	return s != ""
}

// String is the word as it was given.
func (w packWord) String() string {
	if w.Key == "" {
		return w.Value
	}
	return w.Key + "=" + w.Value
}

func parseWords(words []string) ([]packWord, error) {
	out := make([]packWord, len(words))
	for i, word := range words {
		var err error
		if out[i], err = parseWord(word); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// source is what a word turned out to be: an object that is held or, if path is
// set, a file or a folder.
type source struct {
	word   packWord
	desc   oci.Descriptor
	path   string
	folder bool
	kind   string // the type that was given with a path, "" for none
}

// String names it in messages.
func (s source) String() string {
	if s.path != "" {
		return s.path
	}
	return s.desc.Digest.String()
}

// mediaType is the type given with a path, for content that begins with head.
func (s source) mediaType(head []byte) (string, error) {
	return PutOptions{Type: s.kind}.mediaType(head)
}

// find finds out what a word means.
func (p *packing) find(ctx context.Context, w packWord) (source, error) {
	desc, err := lookup(ctx, p.s, w.Value)
	if err != nil && !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrInvalid) {
		return source{}, err
	}
	file, ferr := w.file()
	// Several objects, or a name and an object, are too many already.
	object := err == nil || errors.Is(err, content.ErrInvalid) && isPrefix(w.Value)
	switch {
	case object && ferr == nil:
		return source{}, content.WithHint(fmt.Errorf("%q: %w: it is both an object and a file", w.Value, content.ErrInvalid),
			"write ./%s for the file, or the full digest for the object", w.Value)
	case ferr == nil:
		return file, nil
	case err == nil:
		return source{word: w, desc: desc}, nil
	case !errors.Is(ferr, content.ErrNotFound):
		return source{}, ferr
	case strings.Contains(w.Value, momentMark):
		return source{}, err // which says more of it
	case errors.Is(err, content.ErrInvalid) && !isPath(w.Value):
		return source{}, err
	}
	return source{}, w.notFound()
}

func isPath(word string) bool { return filepath.IsAbs(word) || filepath.Base(word) != word }

// file is the file or folder that the word means: the one of its whole name, else
// the one before the type. Errors: ErrNotFound when there is neither.
func (w packWord) file() (source, error) {
	for _, s := range []source{{word: w, path: w.Value}, {word: w, path: w.Path, kind: w.Type}} {
		if s.path == "" {
			continue
		}
		fi, err := os.Stat(s.path)
		if err == nil {
			s.folder = fi.IsDir()
			return s, nil
		}
		// A file where the path has a folder: nothing can be there.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return source{}, fsys.Classify(err)
		}
	}
	return source{}, content.ErrNotFound
}

// notFound words what is neither object nor file, and sees what may have been
// meant.
func (w packWord) notFound() error {
	if i := strings.LastIndexByte(w.Value, ':'); i > 0 && w.Type == "" {
		if _, err := os.Stat(w.Value[:i]); err == nil {
			_, err := oci.ParseMediaType(w.Value[i+1:])
			return fmt.Errorf("%q: %w", w.Value, err)
		}
	}
	err := fmt.Errorf("%q: %w: neither an object nor a file", w.Value, content.ErrNotFound)
	if w.Key != "" {
		if _, serr := os.Stat(w.String()); serr == nil {
			return content.WithHint(err, "write ./%s for the file of that name", w)
		}
	}
	return err
}

// wrongKey is about a word whose key nothing is known by.
func wrongKey(w packWord, keys string) error {
	err := fmt.Errorf("%q: %w: there is no key %q", w.String(), content.ErrInvalid, w.Key)
	if _, serr := os.Stat(w.String()); serr == nil {
		return content.WithHint(err, "write ./%s for the file of that name; keys are %s", w, keys)
	}
	return content.WithHint(err, "keys are %s", keys)
}
