package db

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"dist.example/oci"
)

// children are what the test binary does instead of testing when childEnv names
// one of them: other processes on the same store.
var children = map[string]func(dir string, args []string) error{
	"open":   openChild,
	"commit": commitChild,
	"hold":   holdChild,
	"read":   readChild,
	"full":   fullChild,
}

const childEnv = "DB_TEST_CHILD"

func TestMain(m *testing.M) {
	run, ok := children[os.Getenv(childEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is the test binary as another process.
func child(tb testing.TB, name, dir string, args ...string) *exec.Cmd {
	tb.Helper()
	exe, err := os.Executable()
	check(tb, err)
	cmd := exec.Command(exe, append([]string{dir}, args...)...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// openDB opens a fresh catalog in dir and closes it with the test.
func openDB(tb testing.TB, dir string, o Options) *DB {
	tb.Helper()
	d, err := Open(context.Background(), dir, o)
	check(tb, err)
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

func write(tb testing.TB, d *DB, fn func(*Tx) error) {
	tb.Helper()
	check(tb, d.Write(context.Background(), fn))
}

func read(tb testing.TB, d *DB, fn func(*Tx) error) {
	tb.Helper()
	check(tb, d.Read(context.Background(), fn))
}

// digest is a digest of its own for each n.
func digest(n int) oci.Digest { return oci.DigestBytes(fmt.Appendf(nil, "%d", n)) }

func loose(n int) Present {
	return Present{Digest: digest(n), Size: int64(n), Loc: LocLoose, Stored: int64(n)}
}

// graph is a catalog with objects by number, as a test describes it.
type graph struct {
	tb  testing.TB
	d   *DB
	ids map[int]int64
}

func newGraph(tb testing.TB) *graph {
	return &graph{tb, openDB(tb, tb.TempDir(), Options{}), map[int]int64{}}
}

// held makes objects that are present.
func (g *graph) held(ns ...int) {
	g.tb.Helper()
	write(g.tb, g.d, func(tx *Tx) error {
		for _, n := range ns {
			put, err := tx.PutObjects([]Present{loose(n)})
			if err != nil {
				return err
			}
			g.ids[n] = put[0].ID
		}
		return nil
	})
}

// edge links parent to child, which is absent unless it was held before.
func (g *graph) edge(parent int, role oci.Role, child int, media string) {
	g.tb.Helper()
	write(g.tb, g.d, func(tx *Tx) error {
		ids, err := tx.EnsureObjects([]oci.Descriptor{{Digest: digest(child), Size: 1, MediaType: media}})
		if err != nil {
			return err
		}
		g.ids[child] = ids[0]
		return tx.PutEdges([]Edge{{g.ids[parent], ids[0], role}})
	})
}

func (g *graph) name(name string, n int) {
	g.tb.Helper()
	write(g.tb, g.d, func(tx *Tx) error {
		_, err := tx.SetRef(RefChange{Name: name, New: digest(n), Why: "test"})
		return err
	})
}

func (g *graph) lease(id string, kind LeaseKind, ns ...int) {
	g.tb.Helper()
	write(g.tb, g.d, func(tx *Tx) error {
		if err := tx.PutLease(Lease{ID: id, Kind: kind, Created: tx.Now, Expires: tx.Now.Add(time.Hour)}); err != nil {
			return err
		}
		return tx.HoldObjects(id, g.idsOf(ns...))
	})
}

func (g *graph) idsOf(ns ...int) (ids []int64) {
	for _, n := range ns {
		ids = append(ids, g.ids[n])
	}
	return ids
}

// numbers maps ids back to what the test calls the objects.
func (g *graph) numbers(ids []int64) (ns []int) {
	back := map[int64]int{}
	for n, id := range g.ids {
		back[id] = n
	}
	for _, id := range ids {
		ns = append(ns, back[id])
	}
	return ns
}

func openChild(dir string, args []string) error {
	d, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Write(context.Background(), func(tx *Tx) error { return tx.SetMeta(args[0], "here") })
}

func readChild(dir string, args []string) error {
	d, err := Open(context.Background(), dir, Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Read(context.Background(), func(tx *Tx) error {
		v, found, err := tx.Meta(args[0])
		fmt.Println(v, found)
		return err
	})
}

// holdChild takes the write lock, says so, and keeps it until its stdin ends.
func holdChild(dir string, _ []string) error {
	d, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Write(context.Background(), func(*Tx) error {
		fmt.Println("held")
		_, err := os.Stdin.Read(make([]byte, 1))
		if err != nil && err.Error() != "EOF" {
			return err
		}
		return nil
	})
}

// commitChild commits small transactions until its time is over, and prints how
// many and the longest wait in microseconds.
func commitChild(dir string, args []string) error {
	d, err := Open(context.Background(), dir, Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	lasts, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	var n int
	var worst time.Duration
	for begin := time.Now(); time.Since(begin) < lasts; n++ {
		at := time.Now()
		err := d.Write(context.Background(), func(tx *Tx) error {
			_, err := tx.PutObjects([]Present{{
				Digest: oci.DigestBytes(fmt.Appendf(nil, "%s %d", args[0], n)),
				Size:   1, Loc: LocLoose, Stored: 1,
			}})
			return err
		})
		if err != nil {
			return err
		}
		worst = max(worst, time.Since(at))
	}
	fmt.Println(n, worst.Microseconds())
	return nil
}

func exists(tb testing.TB, name string) bool {
	tb.Helper()
	_, err := os.Stat(name)
	return err == nil
}

func catalogFile(dir string) string { return filepath.Join(dir, catalogName) }
