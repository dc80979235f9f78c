package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

const (
	maxList     = 10 << 20 // bytes of a list
	maxListLine = 4 << 10  // bytes of one of its lines
)

// ListEntry is one name of a list, and for which platform it is.
type ListEntry struct {
	// Word is a reference or a locator; in a list for Sync, also a repository with
	// a glob or a range of versions in place of the tag.
	Word string
	// Platform takes, of an index, the image for this platform; nil leaves it to the
	// verb.
	Platform *oci.Platform
	// Where is FILE:LINE, for messages; "" for what comes from no list.
	Where string
}

// ListOptions direct ReadList where a list is one that others have made.
type ListOptions struct {
	// PassedOver is told what a list names and cannot be taken, or not as the list says,
	// each with its place (FILE:LINE). nil is told nothing.
	PassedOver func(where, what string)
	// Open opens a file beside the list that the list names. The caller closes it. nil
	// has none opened.
	Open func(path string) (io.ReadCloser, error)
}

const byteOrderMark = "\xef\xbb\xbf"

// ReadList reads a list or a lock: one `name[@digest] [platform]` a line, between
// blanks. Empty lines and everything from a # on that begins a word count for
// nothing; a byte order mark and line ends of Windows are taken. At most 10 MiB,
// lines of at most 4 KiB. name is the file's, for messages.
//
// It also reads what names images in YAML or JSON: manifests of hauler, objects of
// Kubernetes, values of charts. What is what is seen from the first line that says
// anything. There the names are given in full, and what is named twice is one entry.
//
// A list with a name a line may be empty.
//
// Errors: ErrInvalid, with file and line where there is one, also for YAML in which there
// is no image to take; those of r and o.Open.
func ReadList(r io.Reader, name string, o ListOptions) ([]ListEntry, error) {
	data, err := readListBytes(r, name)
	if err != nil {
		return nil, err
	}
	if isYAML(data) {
		return readYAMLList(data, name, o)
	}
	var entries []ListEntry
	err = eachListLine(data, name, func(where string, words []string) error {
		e, err := parseListLine(words)
		e.Where = where
		entries = append(entries, e)
		return err
	})
	return entries, err
}

func readListBytes(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err == nil && len(data) > maxList {
		err = fmt.Errorf("%s: %w: the list is larger than %d MiB", name, content.ErrInvalid, maxList>>20)
	}
	return data, err
}

// eachListLine gives the words of each line that has any, without comments.
func eachListLine(data []byte, name string, line func(where string, words []string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte(byteOrderMark))))
	lines.Buffer(make([]byte, 0, maxListLine+2), maxListLine+2)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if i := slices.IndexFunc(words, func(w string) bool { return w[0] == '#' }); i >= 0 {
			words = words[:i]
		}
		if len(words) == 0 {
			continue
		}
		where := fmt.Sprintf("%s:%d", name, n)
		if err := line(where, words); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("%s: %w: a line of more than %d bytes", name, content.ErrInvalid, maxListLine)
	}
	return err
}

// parseListLine reads the words of one line.
func parseListLine(words []string) (e ListEntry, err error) {
	switch len(words) {
	case 1:
	case 2:
		p, err := oci.ParsePlatform(words[1])
		if err != nil {
			return e, err
		}
		e.Platform = &p
	default:
		return e, fmt.Errorf("%w: want NAME, or NAME and PLATFORM, not %d words", content.ErrInvalid, len(words))
	}
	if strings.ContainsFunc(words[0], func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return e, fmt.Errorf("%w: a character that no name has", content.ErrInvalid)
	}
	e.Word = words[0]
	return e, nil
}

// at says where in a list err comes from.
func (e ListEntry) at(err error) error {
	if err == nil || e.Where == "" {
		return err
	}
	return fmt.Errorf("%s: %w", e.Where, err)
}

// words makes entries of what was given on the command line.
func words(names []string) []ListEntry {
	entries := make([]ListEntry, len(names))
	for i, n := range names {
		entries[i].Word = n
	}
	return entries
}
