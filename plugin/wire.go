package plugin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// version is that of the protocol.
const version = "1"

// maxLine bounds a line, in bytes, its end included.
const maxLine = 64 << 10

// errProtocol is the trouble with a line that should not be.
var errProtocol = errors.New("not the protocol")

// encodeLine writes words as one line.
func encodeLine(words ...string) (string, error) {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		encodeWord(&b, w)
	}
	b.WriteByte('\n')
	if b.Len() > maxLine {
		return "", fmt.Errorf("a line of %d bytes: %w: the limit is %d", b.Len(), content.ErrInvalid, maxLine)
	}
	return b.String(), nil
}

func encodeWord(b *strings.Builder, w string) {
	switch w {
	case "":
		b.WriteByte('-')
		return
	case "-":
		b.WriteString("%2D")
		return
	}
	for _, c := range []byte(w) {
		if c <= ' ' || c > '~' || c == '%' {
			fmt.Fprintf(b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
}

// decodeLine is the inverse of encodeLine, without the line feed. There is at least
// one word.
func decodeLine(line string) ([]string, error) {
	words := strings.Split(line, " ")
	for i, w := range words {
		var err error
		if words[i], err = decodeWord(w); err != nil {
			return nil, err
		}
	}
	return words, nil
}

func decodeWord(w string) (string, error) {
	switch w {
	case "":
		return "", fmt.Errorf("%w: two spaces, or an empty line", errProtocol)
	case "-":
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(w); i++ {
		c := w[i]
		switch {
		case c <= ' ' || c > '~':
			return "", fmt.Errorf("%w: byte %#x in a line", errProtocol, c)
		case c == '%':
			if i+2 >= len(w) {
				return "", fmt.Errorf("%w: a %% without two digits", errProtocol)
			}
			n, err := strconv.ParseUint(w[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf("%w: %q", errProtocol, w[i:i+3])
			}
			c = byte(n)
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// newLines is a reader for lines and what follows them. Its buffer is the longest
// line.
func newLines(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, maxLine) }

// readLine reads one line as words. io.EOF is an end between lines.
func readLine(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line of more than %d bytes", errProtocol, maxLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, fmt.Errorf("%w: the last line has no end", errProtocol)
	case err != nil:
		return nil, err
	}
	return decodeLine(string(line[:len(line)-1]))
}

// number reads digits and nothing else.
func number(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, fmt.Errorf("%w: %q is no number", errProtocol, clip(s))
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is too large", errProtocol, clip(s))
	}
	return n, nil
}

// size writes a size, which may be unknown.
func size(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// descriptor reads DIGEST SIZE and, if typed, MEDIATYPE; the rest comes back.
func descriptor(words []string, typed bool) (oci.Descriptor, []string, error) {
	want := 2
	if typed {
		want = 3
	}
	d := oci.Descriptor{MediaType: oci.MediaTypeOctets, Size: -1}
	if len(words) < want {
		return d, nil, fmt.Errorf("%w: %d words, want %d", errProtocol, len(words), want)
	}
	var err error
	if d.Digest, err = oci.ParseDigest(words[0]); err != nil {
		return d, nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	if typed {
		d.MediaType = words[2]
	}
	if words[1] != "" || typed {
		if d.Size, err = number(words[1]); err != nil {
			return d, nil, err
		}
	}
	check := d
	check.Size = min(max(d.Size, 0), math.MaxInt64)
	if err := oci.ValidateDescriptor(check); err != nil {
		return d, nil, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return d, words[want:], nil
}

// reference reads a NAME; the empty one is the zero Reference.
func reference(s string) (oci.Reference, error) {
	if s == "" {
		return oci.Reference{}, nil
	}
	ref, err := oci.ParseReference(s)
	if err != nil {
		return ref, fmt.Errorf("%w: %w", errProtocol, err)
	}
	return ref, nil
}

// nameOf is the inverse of reference.
func nameOf(ref oci.Reference) string {
	if ref == (oci.Reference{}) {
		return ""
	}
	return ref.String()
}

// classes are the words for the classes of errors, the most telling first.
var classes = []struct {
	word  string
	class error
}{
	{"offline", content.ErrOffline},
	{"unsupported", content.ErrUnsupported},
	{"no-space", content.ErrNoSpace},
	{"corrupt", content.ErrCorrupt},
	{"denied", content.ErrDenied},
	{"conflict", content.ErrConflict},
	{"conflict", content.ErrExists},
	{"not-found", content.ErrNotFound},
	{"invalid", content.ErrInvalid},
	{"unavailable", content.ErrUnavailable},
}

// encodeError is the answer that err makes.
func encodeError(err error) []string {
	word := "unavailable"
	for _, c := range classes {
		if errors.Is(err, c.class) {
			word = c.word
			break
		}
	}
	words := []string{"error", word, clip(err.Error())}
	if hint := content.Hint(err); hint != "" {
		words = append(words, clip(hint))
	}
	return words
}

// refusal is an error that the program answered with.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// decodeError is the inverse of encodeError, given what stands behind the word error.
func decodeError(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%w: an error without class and message", errProtocol)
	}
	class := content.ErrUnavailable
	for _, c := range classes {
		if words[0] == c.word {
			class = c.class
			break
		}
	}
	msg := printable(words[1])
	err := fmt.Errorf("%w: %s", class, msg)
	if strings.Contains(msg, class.Error()) {
		err = &classified{msg, class} // it says so itself
	}
	if len(words) > 2 && words[2] != "" {
		err = content.WithHint(err, "%s", printable(words[2]))
	}
	return &refusal{err}
}

// classified is a message that has its class's words in it already.
type classified struct {
	msg   string
	class error
}

func (c *classified) Error() string { return c.msg }
func (c *classified) Unwrap() error { return c.class }
