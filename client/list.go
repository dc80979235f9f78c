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

// ListEntry is one line of a list: what it names, and for which platform.
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

// ReadList reads a list or a lock: one `name[@digest] [platform]` a line, between
// blanks. Empty lines and everything from a # on that begins a word count for
// nothing; a byte order mark and line ends of Windows are taken. At most 10 MiB,
// lines of at most 4 KiB. name is the file's, for messages.
//
// Errors: ErrInvalid, with file and line; those of r.
func ReadList(r io.Reader, name string) ([]ListEntry, error) {
	var entries []ListEntry
	limited := &io.LimitedReader{R: r, N: maxList + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, maxListLine+2), maxListLine+2)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		where := fmt.Sprintf("%s:%d", name, n)
		e, ok, err := parseListLine(string(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if ok {
			e.Where = where
			entries = append(entries, e)
		}
	}
	err := lines.Err()
	if err == nil && limited.N == 0 {
		err = fmt.Errorf("%s: %w: the list is larger than %d MiB", name, content.ErrInvalid, maxList>>20)
	}
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("%s: %w: a line of more than %d bytes", name, content.ErrInvalid, maxListLine)
	}
	return entries, err
}

// parseListLine reads one line; ok is false for one that names nothing.
func parseListLine(line string) (e ListEntry, ok bool, err error) {
	words := strings.Fields(line)
	if i := slices.IndexFunc(words, func(w string) bool { return w[0] == '#' }); i >= 0 {
		words = words[:i]
	}
	switch len(words) {
	case 0:
		return e, false, nil
	case 1:
	case 2:
		p, err := oci.ParsePlatform(words[1])
		if err != nil {
			return e, false, err
		}
		e.Platform = &p
	default:
		return e, false, fmt.Errorf("%w: want NAME, or NAME and PLATFORM, not %d words", content.ErrInvalid, len(words))
	}
	if strings.ContainsFunc(words[0], func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return e, false, fmt.Errorf("%w: a character that no name has", content.ErrInvalid)
	}
	e.Word = words[0]
	return e, true, nil
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
