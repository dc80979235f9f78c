package testscripts

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dist.example/blobstore"
	"dist.example/client"
	"dist.example/cmd"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// TestMain makes the test binary stand in for dist, or puts the one that
// DIST_BINARY names in its place. Among peers, jq is the real one, too.
func TestMain(m *testing.M) {
	programs := map[string]func(){
		"dist": func() {
			os.Exit(cmd.Program{Hook: crashHook(), FreeBytes: pretendedSpace()}.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
		"jq":        jq,
		"shasum":    shasum,
		"as-nobody": asNobody,
		"http":      httpAsk,

		"dist-transport-shelf": shelf,
	}
	if binary := os.Getenv("DIST_BINARY"); binary != "" {
		delete(programs, "dist")
		os.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	if _, err := exec.LookPath("jq"); err == nil && withPeers() {
		delete(programs, "jq")
	}
	if !withPeers() {
		// Scripts wait for retries, and for what they have in the background: the processors
		// have something to do all the same if there are more of them. -parallel counts.
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
	testscript.Main(m, programs)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, params(".", startRegistry))
}

// params are how the scripts of a folder run; registry starts the one that each
// of them has to itself.
func params(dir string, registry func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			if err := setup(env); err != nil {
				return err
			}
			return registry(env)
		},
		Condition:           pretends,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"mkrand":   mkrand,
			"cmpfile":  cmpfile,
			"flip":     flip,
			"capture":  capture,
			"sql":      runSQL,
			"registry": another,
			"seed":     seed,
			"fault":    fault,
			"heal":     heal,
			"mirror":   mirror,
			"tokens":   tokens,
			"regstat":  regstat,
			"auth":     auth,
			"secure":   secure,
			"oversign": oversign,

			"certificate": certificate,
		},
	}
}

// setup gives a script a home of its own, so that nothing of the machine's
// user is read, and nothing of the environment steers dist.
func setup(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir+"/home")
	env.Setenv("XDG_DATA_HOME", "")
	env.Setenv("DIST_STORE", env.WorkDir+"/store")
	env.Setenv("DOCKER_CONFIG", env.WorkDir+"/home/.docker")
	env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/home/.config")
	env.Setenv("XDG_RUNTIME_DIR", "")
	env.Setenv("REGISTRY_AUTH_FILE", "")
	if !withPeers() {
		// Many scripts run at once: threads of one process take a sixth more time than
		// they give back.
		env.Setenv("GOMAXPROCS", "1")
	}
	return ownRegistries(env.WorkDir + "/home/.config")
}

// ownRegistries makes sure of a user's registries.conf, which keeps the machine's
// own from being read.
func ownRegistries(config string) error {
	dir := filepath.Join(config, "containers")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "registries.conf"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// oversign signs what a name of the store names, again and again with other words, as
// strangers do who do not look at what there is: `dist sign` does, before and after each.
func oversign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: oversign NAME KEY TIMES")
	}
	times, err := strconv.Atoi(args[2])
	ts.Check(err)
	ref, err := oci.ParseReference(args[0])
	ts.Check(err)
	ctx := context.Background()
	key, err := sign.OpenKeyring(filepath.Join(ts.Getenv("XDG_CONFIG_HOME"), "dist", "keys")).Find(args[1])
	ts.Check(err)
	signer, err := key.Open(ctx, nil)
	ts.Check(err)
	c := client.New(client.Options{Store: ts.Getenv("DIST_STORE")})
	defer c.Close()
	store, err := c.Open(ctx)
	ts.Check(err)
	desc, err := store.Resolve(ctx, ref)
	ts.Check(err)
	manifest, err := content.ReadAll(ctx, store, desc, desc.Size)
	ts.Check(err)
	ses, err := store.Begin(ctx, blobstore.SessionOptions{Note: "oversign"})
	ts.Check(err)
	defer ses.Close()
	for i := range times {
		st := sign.Statement{
			Subject: sign.NewSubject(desc, manifest), Identity: ref.String(), Created: time.Now().UTC(),
			Annotations: map[string]string{"n": strconv.Itoa(i)},
		}
		data, layer, err := sign.SignBundle(ctx, signer, st)
		ts.Check(err)
		carrier, err := sign.CarryBundle(desc, layer, st.Created)
		ts.Check(err)
		ts.Check(ses.Push(ctx, layer, bytes.NewReader(data)))
		ts.Check(ses.Push(ctx, carrier.ConfigDesc, bytes.NewReader(carrier.Config)))
		ts.Check(ses.Push(ctx, carrier.Descriptor, bytes.NewReader(carrier.Manifest)))
	}
	ts.Check(ses.Commit(ctx))
}

// exits runs a command whose exit code must be the first argument.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N CMD…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// capture sets a variable to what the last command printed, without white space
// at its ends.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture VARIABLE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// runSQL changes a SQLite file, to make the stores that dist must refuse, or looks
// into one: each row of a SELECT is printed on a line, its columns separated by
// "|". The driver is the catalog's.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql FILE STATEMENT…")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	for _, statement := range args[1:] {
		if strings.HasPrefix(strings.ToUpper(statement), "SELECT ") {
			ts.Check(printRows(ts.Stdout(), db, statement))
			continue
		}
		_, err := db.Exec(statement)
		ts.Check(err)
	}
}

func printRows(w io.Writer, db *sql.DB, query string) error {
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	columns, dest := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range columns {
		dest[i] = &columns[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		for i, c := range columns {
			names[i] = c.String
		}
		fmt.Fprintln(w, strings.Join(names, "|"))
	}
	return rows.Err()
}

// mkrand writes SIZE bytes that depend on SEED alone.
func mkrand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mkrand FILE SIZE SEED")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	var seed [32]byte
	copy(seed[:], args[2])
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	_, err = io.CopyN(f, rand.NewChaCha8(seed), int64(size))
	ts.Check(err)
	ts.Check(f.Close())
}

// cmpfile compares two files byte by byte and says only where they differ.
func cmpfile(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: cmpfile A B")
	}
	a, b := []byte(ts.ReadFile(args[0])), []byte(ts.ReadFile(args[1]))
	if same := bytes.Equal(a, b); same == neg {
		at := 0
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		ts.Fatalf("%s (%d bytes) and %s (%d bytes): same is %v, first difference at %d", args[0], len(a), args[1], len(b), same, at)
	}
}

// flip inverts one byte of a file, read-only or not; a negative offset counts
// from the end.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	name := ts.MkAbs(args[0])
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	fi, err := os.Stat(name)
	ts.Check(err)
	p, err := os.ReadFile(name)
	ts.Check(err)
	if at < 0 {
		at += len(p)
	}
	p[at] ^= 0xff
	ts.Check(os.Chmod(name, 0o644))
	ts.Check(os.WriteFile(name, p, 0o644))
	ts.Check(os.Chmod(name, fi.Mode().Perm()))
}
