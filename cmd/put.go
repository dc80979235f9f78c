package cmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// putCmd is `dist put`.
type putCmd struct {
	quietFlag
	File   []string `arg:"" optional:"" complete:"file" help:"File to put; none or - is stdin. With --batch, any number of them."`
	Type   string   `short:"t" default:"blob" placeholder:"TYPE" complete:"type" help:"Type of the content: a media type, or a word for one: layer, config, image, index, json, text or blob (the default)."`
	Digest digest   `name:"expected-digest" placeholder:"DIGEST" help:"Digest that the content must have; any other is exit 4, and nothing is stored."`
	Size   *int64   `name:"expected-size" placeholder:"BYTES" help:"Size that the content must have, likewise."`
	Keep   span     `default:"7d" placeholder:"TIME" help:"How long the content is kept while no name reaches it: 12h, 30d (${default} by default)."`
	Batch  bool     `help:"Put many files in one go: those given, or those whose names stdin lists, one a line."`
	Null   bool     `short:"0" help:"With --batch, the names on stdin end with a NUL byte, as find -print0 writes them."`
}

// Help is the longer text of `dist put --help`.
func (putCmd) Help() string {
	return `The id that is printed is the content's digest, the same on every machine. It is printed when the content is safely on disk.

Examples:

    $ dist put -t layer content1.tar
    $ tar -c . | dist put -t layer
    $ find . -name '*.json' -print0 | dist put --batch -0 -t json`
}

// Run puts one file, or a batch.
func (c *putCmd) Run(s *session) error {
	switch {
	case !c.Batch && c.Null:
		return usagef("-0 says how --batch reads names from stdin; give --batch too")
	case !c.Batch && len(c.File) > 1:
		return usagef("%d files; --batch puts many", len(c.File))
	case c.Batch && (c.Digest != "" || c.Size != nil):
		return usagef("--expected-digest and --expected-size are about one file; leave out --batch")
	case c.Size != nil && *c.Size < 0:
		return usagef("--expected-size %d: a size is not negative", *c.Size)
	case c.Keep == 0:
		return usagef("--keep 0: what is not kept at all need not be put")
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	opts := client.PutOptions{Type: c.Type, Expected: oci.Digest(c.Digest), Size: c.Size, Keep: time.Duration(c.Keep)}
	if c.Batch {
		return c.batch(s, dist, opts)
	}
	return c.one(s, dist, opts)
}

func (c *putCmd) one(s *session, dist *client.Client, opts client.PutOptions) error {
	var (
		info content.Info
		err  error
		name = "stdin"
	)
	s.progress.startWhenDue()
	if len(c.File) == 1 && c.File[0] != "-" {
		name = c.File[0]
		info, err = dist.PutFile(s.ctx, opts, name)
	} else {
		info, err = dist.Put(s.ctx, opts, s.stdin)
	}
	s.progress.stop()
	if err != nil {
		return about(name, err)
	}
	return s.identified(c.quietFlag, info.Digest.String(), newInfoJSON(info))
}

// batch prints ids once they are durable, in the order of the files. What was
// printed is there, whatever happened after.
func (c *putCmd) batch(s *session, dist *client.Client, opts client.PutOptions) error {
	names := each(c.File)
	if len(c.File) == 0 {
		names = namesFrom(s.stdin, c.Null)
	}
	infos := func(yield func(content.Info, error) bool) {
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		stopped := false
		err := dist.PutBatch(ctx, opts, names, func(_ string, info content.Info) {
			if !stopped && !yield(info, nil) {
				stopped = true
				cancel()
			}
		})
		if err != nil && !stopped {
			yield(content.Info{}, err)
		}
	}
	// Without a format that asks for more, what a batch prints is ids.
	return printList(s.stdout, s.format(), c.Quiet || !s.format().structured(), infoListing(s), infos)
}

// maxNameLength is longer than any system takes.
const maxNameLength = 64 << 10

// namesFrom reads file names that end in newlines, or in NUL bytes. Empty ones
// are skipped.
func namesFrom(r io.Reader, null bool) iter.Seq2[string, error] {
	end := byte('\n')
	if null {
		end = 0
	}
	return func(yield func(string, error) bool) {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, maxNameLength)
		scanner.Split(func(p []byte, atEOF bool) (int, []byte, error) {
			if i := bytes.IndexByte(p, end); i >= 0 {
				return i + 1, p[:i], nil
			}
			if atEOF && len(p) > 0 {
				return len(p), p, nil
			}
			return 0, nil, nil
		})
		for scanner.Scan() {
			if name := scanner.Text(); name != "" && !yield(name, nil) {
				return
			}
		}
		err := scanner.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			err = usagef("a file name of more than %d bytes; does -0 say rightly how the list on stdin is separated?", maxNameLength)
		}
		if err != nil {
			yield("", fmt.Errorf("read the list of files: %w", err))
		}
	}
}
