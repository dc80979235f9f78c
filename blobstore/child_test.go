package blobstore_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// childRole names, in the environment of a process of this binary, what it is to
// do instead of testing.
const childRole = "BLOBSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := roles[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait for the disk more than they compute
		panic(err)
	}
	code := m.Run()
	if dir, _ := template(); dir != "" {
		os.RemoveAll(dir)
	}
	os.RemoveAll(richDir)
	os.Exit(code)
}

// roles are what children do. Each gets the store's folder as its first argument.
var roles = map[string]func(args []string) error{
	"write":  childWrite,
	"ingest": childIngest,
	"hold":   childHold,
	"read":   childRead,
	"put":    childPut,
}

// child is a process of this binary in a role.
func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// running is a child that says READY and waits for its standard input to end.
type running struct {
	*exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func start(t *testing.T, cmd *exec.Cmd) running {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	r := running{cmd, stdin, bufio.NewReader(out)}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return r
}

// ready waits for the child's word.
func (r running) ready(t *testing.T) {
	t.Helper()
	if line, err := r.out.ReadString('\n'); line != "READY\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
}

// kill ends the child without a chance to tidy up.
func (r running) kill(t *testing.T) {
	t.Helper()
	must(t, r.Process.Kill())
	r.Wait()
}

// awaitEnd says READY and waits to be let go.
func awaitEnd() {
	fmt.Println("READY")
	io.Copy(io.Discard, os.Stdin)
}

func childOpen(dir string) (*blobstore.Store, error) {
	return blobstore.Open(context.Background(), dir, blobstore.Options{})
}

// childWrite begins the ingest of noise(seed, size), writes n bytes, closes or
// not, and waits: DIR SEED SIZE N.
func childWrite(args []string) error {
	s, err := childOpen(args[0])
	if err != nil {
		return err
	}
	seed, size, n := number(args[1]), number(args[2]), number(args[3])
	p := noise(uint64(seed), size)
	w, err := s.Writer(context.Background(), ingest(p))
	if err != nil {
		return err
	}
	if _, err := w.Write(p[:n]); err != nil {
		return err
	}
	awaitEnd()
	if _, err := w.Write(p[n:]); err != nil {
		return err
	}
	if _, err := w.Commit(context.Background()); err != nil {
		return err
	}
	return errors.Join(w.Close(), s.Close())
}

// childIngest begins the ingest of noise(seed, size) as a stream, writes n bytes
// and waits: DIR SEED SIZE N.
func childIngest(args []string) error {
	s, err := childOpen(args[0])
	if err != nil {
		return err
	}
	ses, err := s.Begin(context.Background(), blobstore.SessionOptions{Note: "child"})
	if err != nil {
		return err
	}
	p := noise(uint64(number(args[1])), number(args[2]))
	w, err := ses.Ingest(context.Background(), expecting(p))
	if err != nil {
		return err
	}
	if _, err := w.Write(p[:number(args[3])]); err != nil {
		return err
	}
	awaitEnd()
	return errors.Join(w.Close(), ses.Close(), s.Close())
}

// childHold puts a blob into a session and waits, with the session open: DIR SEED.
func childHold(args []string) error {
	s, err := childOpen(args[0])
	if err != nil {
		return err
	}
	ses, err := s.Begin(context.Background(), blobstore.SessionOptions{Note: "child"})
	if err != nil {
		return err
	}
	if _, err := ses.Put(context.Background(), blobstore.Blob{Data: noise(uint64(number(args[1])), 100)}); err != nil {
		return err
	}
	if err := ses.Flush(context.Background()); err != nil {
		return err
	}
	awaitEnd()
	return errors.Join(ses.Commit(context.Background()), ses.Close(), s.Close())
}

// childPut puts the blobs shared, and some of its own, each in a commit: DIR SEED.
func childPut(args []string) error {
	s, err := childOpen(args[0])
	if err != nil {
		return err
	}
	for i := range 4 {
		if err := childPutOne(s, noise(uint64(i), sharedSize(i))); err != nil {
			return err
		}
		if err := childPutOne(s, noise(uint64(number(args[1])*100+i), sharedSize(i)+1)); err != nil {
			return err
		}
	}
	return s.Close()
}

// sharedSize lets some blobs be loose and others not.
func sharedSize(i int) int { return 1000 + i%2*(300<<10) }

func childPutOne(s *blobstore.Store, p []byte) error {
	_, err := store(s, ingest(p), p)
	if errors.Is(err, content.ErrExists) {
		return nil
	}
	return err
}

// childRead reads all of a store that it may not write, and tries to: DIR.
func childRead(args []string) error {
	ctx := context.Background()
	s, err := childOpen(args[0])
	if err != nil {
		return err
	}
	if !s.ReadOnly() {
		return errors.New("the store is open for writing")
	}
	n := 0
	for info, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		if err := s.Check(ctx, info.Digest); err != nil {
			return err
		}
		n++
	}
	name := ""
	for got, err := range s.Names(ctx, "") {
		if err != nil {
			return err
		}
		name = got.Reference.String()
		if err := childDenied(ctx, s, got); err != nil {
			return err
		}
	}
	fmt.Printf("%d %s\n", n, name)
	return s.Close()
}

// childDenied tries everything that writes.
func childDenied(ctx context.Context, s *blobstore.Store, n content.Name) error {
	d := n.Target.Digest
	_, begun := s.Begin(ctx, blobstore.SessionOptions{})
	_, opened := s.Writer(ctx, ingest([]byte("new")))
	_, leased := s.Acquire(ctx, "x", 1)
	_, viewed := s.Path(ctx, d)
	for what, err := range map[string]error{
		"Begin": begun, "Writer": opened, "Acquire": leased, "Path of a packed blob": viewed,
		"SetNames": s.SetNames(ctx, content.NameChange{Reference: n.Reference, Target: d}),
		"Delete":   s.Delete(ctx, d),
		"Hold":     s.Hold(ctx, "x", d),
		"Release":  s.Release(ctx, "x"),
		"Abort":    s.Abort(ctx, "half"),
	} {
		if !errors.Is(err, content.ErrDenied) {
			return fmt.Errorf("%s: %v, want access denied", what, err)
		}
	}
	_, err := s.Writer(ctx, content.IngestOptions{Expected: d, Total: -1, MediaType: oci.MediaTypeManifest})
	if !errors.Is(err, content.ErrExists) {
		return fmt.Errorf("Writer of what is held: %v", err)
	}
	return nil
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func numbers(ns ...int) []string {
	return strings.Fields(strings.Trim(fmt.Sprint(ns), "[]"))
}
