package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// Program is dist with what only tests add to it. The zero value is dist itself.
type Program struct {
	// Hook is called at the named points of the protocols (docs/ARCHITECTURE.md,
	// section 6), from any goroutine, while locks are held; nil outside of tests.
	Hook func(point string)
	// FreeBytes is asked how much room there is on the disk of a folder, nil for what the
	// system says.
	FreeBytes func(dir string) (uint64, error)
}

// Main runs dist with args (without the program's name) and returns the exit
// code. The environment and the working directory are the process's.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return Program{}.Main(args, stdin, stdout, stderr)
}

// Main is the function Main, with the program's hook.
func (p Program) Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	collectLateOnce()
	// A reader of stdout that goes away is an error of writing, and does not kill on the
	// spot: leases and temporary files are to be given back.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	giveBackSignals(ctx, stop)
	defer func() {
		// After a signal another one is not to kill on the last few steps either.
		if ctx.Err() == nil {
			stop()
		}
	}()
	return p.run(ctx, args, stdin, stdout, stderr)
}

// signalGrace is for how long after the first signal others mean nothing. timeout(1)
// sends two at once, to its child and to the child's group: they are one.
const signalGrace = 500 * time.Millisecond

// giveBackSignals brings the system's own handling back some time after the first
// signal, which ends things in good order: from then on the next one kills.
func giveBackSignals(ctx context.Context, stop func()) {
	context.AfterFunc(ctx, func() { time.AfterFunc(signalGrace, stop) })
}

// run is Main without signals.
func (p Program) run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == completeWord {
		return p.complete(ctx, args[1:], stdout)
	}
	var c globalFlags
	parser, exited, err := newParser(&c, spoken(args), stdout, stderr)
	if err != nil {
		return report(stderr, "", err, false, styler{})
	}
	if len(args) == 0 {
		return usage(parser, stderr)
	}
	parsed, err := parser.Parse(customary(args))
	if exited() {
		return exitOK
	}
	style := newStyler(c.Color, stderr, os.Getenv)
	if readerGone(err) { // of the help
		return exitPipe
	}
	if err != nil {
		verb, err := parseError(args, err)
		return report(stderr, verb, err, c.Format.json() || asksForJSON(args), style)
	}
	s := &session{
		ctx: ctx, stdin: interruptible(ctx, stdin), terminal: stdin, stdout: stdout, stderr: stderr,
		getenv: os.Getenv, globals: &c, hook: p.Hook, freeBytes: p.FreeBytes, passphrase: takePassphrase(),
		progress: newProgress(c.Progress, stderr, style, os.Getenv),
	}
	err = parsed.Run(s)
	err = errors.Join(err, s.close())
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if readerGone(err) {
		return exitPipe
	}
	return report(stderr, parsed.Selected().Path(), s.nearName(parsed.Selected().Path(), err), c.Format.json(), style)
}

// usage answers a call without a verb: the help, but on stderr and with a code
// that says that nothing was done.
func usage(parser *kong.Kong, stderr io.Writer) int {
	parser.Stdout = stderr
	// The help flag prints and, Exit being ours, comes back; what Parse makes of
	// the missing verb says nothing new.
	_, _ = parser.Parse([]string{"--help"})
	return exitUsage
}

// customary turns what people try first into what there is: "dist --version", and
// --format with a form of signatures, for verbs that sign.
func customary(args []string) []string {
	if slices.ContainsFunc(args, func(a string) bool { return slices.Contains(signingVerbs, a) }) {
		args = signatureFormat(args)
	}
	if args[0] == "--version" {
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

var signingVerbs = []string{"sign", "pack", "squash", "repack"}

// signatureFormat takes --format for --signature-format where it says a form.
func signatureFormat(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		word, joined := strings.CutPrefix(a, "--format=")
		switch {
		case joined && slices.Contains(signatureFormats, word):
			out[i] = "--signature-format=" + word
		case a == "--format" && i+1 < len(out) && slices.Contains(signatureFormats, out[i+1]):
			out[i] = "--signature-format"
		}
	}
	return out
}

// newParser builds the parser for some verbs. exited tells whether help was printed, in
// which case what Parse returned does not matter.
func newParser(globals *globalFlags, some []verb, stdout, stderr io.Writer) (parser *kong.Kong, exited func() bool, err error) {
	ended := false
	options := []kong.Option{
		kong.Name("dist"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { ended = true }),
		kong.Help(printHelp),
		kong.ExplicitGroups(groups()),
		kong.Vars(words()),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
	}
	for _, v := range some {
		options = append(options, kong.DynamicCommand(v.name, v.help, v.group, v.cmd))
	}
	if parser, err = kong.New(globals, options...); err == nil {
		parser.Model.HelpFlag.Help = "Show this help."
	}
	return parser, func() bool { return ended }, err
}

// asksForJSON finds out whether errors should be JSON when the arguments could
// not be parsed.
func asksForJSON(args []string) bool {
	format := os.Getenv("DIST_FORMAT")
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--format="); ok {
			format = v
		} else if a == "--format" && i+1 < len(args) {
			format = args[i+1]
		}
	}
	return format == "json" || format == "jsonl"
}

// interruptible is r, but Read returns once ctx has ended even if no byte ever
// comes: a terminal or a pipe cannot be asked to give up.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	if f, ok := r.(*os.File); ok {
		if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() {
			return r
		}
	}
	return &interruptibleReader{ctx: ctx, r: r}
}

type interruptibleReader struct {
	ctx    context.Context
	r      io.Reader
	chunks chan chunk
	free   chan []byte
	rest   chunk
	whole  []byte // the buffer that rest lies in
}

type chunk struct {
	p   []byte
	err error
}

func (i *interruptibleReader) Read(p []byte) (int, error) {
	if i.chunks == nil {
		i.startReading()
	}
	if len(i.rest.p) == 0 && i.rest.err == nil {
		if i.whole != nil {
			i.free <- i.whole
			i.whole = nil
		}
		select {
		case i.rest = <-i.chunks:
			i.whole = i.rest.p[:cap(i.rest.p)]
		case <-i.ctx.Done():
			return 0, fmt.Errorf("read input: %w", i.ctx.Err())
		}
	}
	n := copy(p, i.rest.p)
	i.rest.p = i.rest.p[n:]
	if len(i.rest.p) == 0 {
		return n, i.rest.err
	}
	return n, nil
}

// SyscallConn implements syscall.Conn for what is a file.
func (i *interruptibleReader) SyscallConn() (syscall.RawConn, error) {
	if c, ok := i.r.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// startReading reads ahead by one buffer. The goroutine ends with the input, or
// with the process.
func (i *interruptibleReader) startReading() {
	const size, buffers = 256 << 10, 2
	i.chunks, i.free = make(chan chunk, buffers), make(chan []byte, buffers)
	for range buffers {
		i.free <- make([]byte, size)
	}
	go func() {
		for p := range i.free {
			n, err := i.r.Read(p[:size])
			i.chunks <- chunk{p[:n], err}
			if err != nil {
				return
			}
		}
	}()
}
