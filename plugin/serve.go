package plugin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"dist.example/content"
	"dist.example/oci"
)

// Plugin is the program's side of the protocol over any content.Transport.
//
//	func main() {
//		p := plugin.Plugin{Transport: mine{}}
//		if err := p.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
//			fmt.Fprintln(os.Stderr, err)
//			os.Exit(1)
//		}
//	}
type Plugin struct {
	Transport content.Transport
	// Parallel says that several processes may write to one place at once.
	Parallel bool
}

// Serve answers the requests that come from in until it ends. What goes wrong with one
// is its answer; an error is returned when there can be no answer any more, and the
// program exits then.
func (pl Plugin) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	s := &server{ctx: ctx, in: newLines(in), out: bufio.NewWriterSize(out, 256<<10)}
	words, err := readLine(s.in)
	if err != nil {
		return err
	}
	if len(words) != 4 || words[0] != "hello" {
		return fmt.Errorf("%w: it begins with %q", errProtocol, clip(words[0]))
	}
	if words[1] != version {
		return s.say(encodeError(fmt.Errorf("version %q: %w: this program speaks %s", words[1], content.ErrUnsupported, version))...)
	}
	switch words[2] {
	case "read":
		return pl.read(s, words[3])
	case "write":
		return pl.write(s, words[3])
	}
	return fmt.Errorf("%w: mode %q", errProtocol, clip(words[2]))
}

// server is one run of a program.
type server struct {
	ctx context.Context //nolint:containedctx // the whole run's
	in  *bufio.Reader
	out *bufio.Writer
}

// say writes a line, and everything before it.
func (s *server) say(words ...string) error {
	line, err := encodeLine(words...)
	if err == nil {
		_, err = s.out.WriteString(line)
	}
	if err == nil {
		err = s.out.Flush()
	}
	return err
}

// answer says what a request came to.
func (s *server) answer(err error, words ...string) error {
	if err != nil {
		return s.say(encodeError(err)...)
	}
	return s.say(append([]string{"ok"}, words...)...)
}

// each hands requests to handle until there are none any more.
func (s *server) each(handle func(request string, words []string) error) error {
	for {
		words, err := readLine(s.in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = handle(words[0], words[1:])
		}
		if err != nil {
			return err
		}
	}
}

// unheard answers a request that this version does not have.
func (s *server) unheard(request string) error {
	return s.answer(fmt.Errorf("request %q: %w", clip(request), content.ErrUnsupported))
}

func (pl Plugin) read(s *server, at string) error {
	src, err := pl.Transport.Source(s.ctx, at)
	if err != nil {
		return s.answer(err)
	}
	defer src.Close()
	hello := []string{version}
	refs, ok := src.(content.ReferrerLister)
	if ok {
		hello = append(hello, "referrers")
	}
	if err := s.answer(nil, hello...); err != nil {
		return err
	}
	return s.each(func(request string, words []string) error {
		switch {
		case request == "resolve":
			name, desc, err := src.Image(s.ctx)
			return s.answer(err, desc.Digest.String(), size(desc.Size), desc.MediaType, nameOf(name))
		case request == "fetch":
			return s.fetch(src, words)
		case request == "referrers" && refs != nil:
			return s.referrers(refs, words)
		}
		return s.unheard(request)
	})
}

func (s *server) fetch(src content.ImageSource, words []string) error {
	desc, rest, err := descriptor(words, false)
	if err != nil {
		return s.answer(invalid(err))
	}
	if len(rest) == 0 {
		return s.answer(invalid(errProtocol))
	}
	offset, err := number(rest[0])
	if err != nil {
		return s.answer(invalid(err))
	}
	if desc.Size < 0 {
		return s.answer(fmt.Errorf("fetch %s: %w: its size is not told", desc.Digest, content.ErrUnsupported))
	}
	r, err := open(s.ctx, src, desc, offset)
	if err != nil {
		return s.answer(err)
	}
	defer r.Close()
	n := desc.Size - offset
	if err := s.answer(nil, strconv.FormatInt(n, 10)); err != nil {
		return err
	}
	return s.stream(r, n)
}

// open begins at offset if the source can.
func open(ctx context.Context, src content.ImageSource, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if rf, ok := src.(content.RangeFetcher); ok {
		return rf.FetchFrom(ctx, desc, offset)
	}
	if offset > 0 {
		return nil, fmt.Errorf("fetch %s from byte %d: %w", desc.Digest, offset, content.ErrUnsupported)
	}
	return src.Fetch(ctx, desc)
}

// stream writes n bytes. There is no answer to a failure any more.
func (s *server) stream(r io.Reader, n int64) error {
	m, err := io.Copy(s.out, io.LimitReader(r, n))
	if err == nil && m != n {
		err = fmt.Errorf("%w: %d bytes in place of %d", content.ErrCorrupt, m, n)
	}
	if err == nil {
		err = s.out.Flush()
	}
	return err
}

func (s *server) referrers(refs content.ReferrerLister, words []string) error {
	if len(words) == 0 {
		return s.answer(invalid(errProtocol))
	}
	subject, err := oci.ParseDigest(words[0])
	if err != nil {
		return s.answer(err)
	}
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{}}
	x.SchemaVersion = 2
	for d, err := range refs.Referrers(s.ctx, subject, "") {
		if err != nil {
			return s.answer(err)
		}
		x.Manifests = append(x.Manifests, d)
	}
	data, _, err := oci.Encode(oci.MediaTypeIndex, x)
	if err != nil {
		return s.answer(err)
	}
	if err := s.answer(nil, strconv.Itoa(len(data))); err != nil {
		return err
	}
	return s.stream(bytes.NewReader(data), int64(len(data)))
}

// invalid gives a request that is none its class.
func invalid(err error) error { return fmt.Errorf("%w: %w", content.ErrInvalid, err) }

func (pl Plugin) write(s *server, at string) error {
	t, err := pl.Transport.Target(s.ctx, at)
	if err != nil {
		return s.answer(err)
	}
	defer t.Close()
	hello := []string{version}
	if pl.Parallel {
		hello = append(hello, "parallel")
	}
	if err := s.answer(nil, hello...); err != nil {
		return err
	}
	return s.each(func(request string, words []string) error {
		desc, rest, err := descriptor(words, true)
		switch {
		case request != "exists" && request != "push" && request != "finish":
			return s.unheard(request)
		case err != nil:
			return s.answer(invalid(err))
		case request == "exists":
			here, err := t.Exists(s.ctx, desc)
			return s.answer(err, map[bool]string{true: "yes", false: "no"}[here])
		case request == "push":
			return s.push(t, desc)
		}
		return s.finish(t, desc, rest)
	})
}

func (s *server) push(t content.ImageTarget, desc oci.Descriptor) error {
	if here, err := t.Exists(s.ctx, desc); here || err != nil {
		return s.answer(err)
	}
	if err := s.say("go"); err != nil {
		return err
	}
	r := &io.LimitedReader{R: s.in, N: desc.Size}
	err := t.Push(s.ctx, desc, r)
	// What is left has to be read in any case; an end in the middle is the end of all.
	if _, rerr := io.Copy(io.Discard, r); rerr != nil {
		return rerr
	}
	if r.N > 0 {
		return fmt.Errorf("push %s: %w: the input ends %d bytes early", desc.Digest, content.ErrUnavailable, r.N)
	}
	return s.answer(err)
}

func (s *server) finish(t content.ImageTarget, root oci.Descriptor, rest []string) error {
	if len(rest) == 0 {
		return s.answer(invalid(errProtocol))
	}
	name, err := reference(rest[0])
	if err != nil {
		return s.answer(invalid(err))
	}
	return s.answer(t.Finish(s.ctx, root, name))
}
