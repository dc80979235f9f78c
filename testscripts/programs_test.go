package testscripts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/itchyny/gojq"

	"dist.example/bundle"
	"dist.example/plugin"
)

// jq is the part of jq that scripts use: -r, -c, -s, -e, -S, a filter and files. It
// sorts the keys of objects always and jq does so with -S alone, which objects need
// here, or scripts would pass that fail with jq.
func jq() {
	flags := flag.NewFlagSet("jq", flag.ExitOnError)
	raw := flags.Bool("r", false, "print strings as they are")
	compact := flags.Bool("c", false, "one line for each result")
	slurp := flags.Bool("s", false, "read all inputs into one array")
	status := flags.Bool("e", false, "exit 1 when the last result is false or null")
	sorted := flags.Bool("S", false, "sort the keys of objects")
	_ = flags.Parse(os.Args[1:])
	if flags.NArg() < 1 {
		die(2, "usage: jq [-r] [-c] [-s] [-e] [-S] FILTER [FILE…]")
	}
	query, err := gojq.Parse(flags.Arg(0))
	if err != nil {
		die(3, "jq: %v", err)
	}
	inputs, err := jsonInputs(flags.Args()[1:], *slurp)
	if err != nil {
		die(2, "jq: %v", err)
	}
	var last any
	for _, in := range inputs {
		for results := query.Run(in); ; {
			v, ok := results.Next()
			if !ok {
				break
			}
			if err, ok := v.(error); ok {
				die(5, "jq: %v", err)
			}
			if !*sorted && ordered(v) {
				die(2, "jq: the order of an object's keys is jq's own: use -S")
			}
			last = v
			printJSON(v, *raw, *compact)
		}
	}
	if *status && (last == nil || last == false) {
		os.Exit(1)
	}
}

// ordered says whether v has an object of several keys, which have an order in print.
func ordered(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) > 1 || slices.ContainsFunc(slices.Collect(maps.Values(v)), ordered)
	case []any:
		return slices.ContainsFunc(v, ordered)
	}
	return false
}

func jsonInputs(files []string, slurp bool) ([]any, error) {
	var all bytes.Buffer
	if len(files) == 0 {
		if _, err := io.Copy(&all, os.Stdin); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		p, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		all.Write(p)
	}
	var values []any
	for dec := json.NewDecoder(&all); ; {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	if slurp {
		return []any{values}, nil
	}
	return values, nil
}

func printJSON(v any, raw, compact bool) {
	if s, ok := v.(string); ok && raw {
		fmt.Println(s)
		return
	}
	p, err := gojq.Marshal(v)
	if err != nil {
		die(5, "jq: %v", err)
	}
	if !compact {
		var b bytes.Buffer
		if json.Indent(&b, p, "", "  ") == nil {
			p = b.Bytes()
		}
	}
	fmt.Printf("%s\n", p)
}

// shasum is `shasum -a256` of the arguments or of stdin.
func shasum() {
	flags := flag.NewFlagSet("shasum", flag.ExitOnError)
	for _, name := range []string{"a256", "b"} {
		flags.Bool(name, false, "accepted")
	}
	bits := flags.Int("a", 256, "the only algorithm is 256")
	_ = flags.Parse(os.Args[1:])
	if *bits != 256 {
		die(2, "shasum: only -a256")
	}
	if flags.NArg() == 0 {
		printSum(os.Stdin, "-")
	}
	for _, name := range flags.Args() {
		f, err := os.Open(name)
		if err != nil {
			die(1, "shasum: %v", err)
		}
		printSum(f, name)
		_ = f.Close()
	}
}

func printSum(r io.Reader, name string) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		die(1, "shasum: %v", err)
	}
	fmt.Printf("%x  %s\n", h.Sum(nil), name)
}

// asNobody runs a command as a user without rights when it is root itself, who
// is never refused anything.
func asNobody() {
	if len(os.Args) < 2 {
		die(2, "usage: as-nobody CMD…")
	}
	path, err := exec.LookPath(os.Args[1])
	if err != nil {
		die(127, "as-nobody: %v", err)
	}
	cmd := exec.Command(path, os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if os.Geteuid() == 0 {
		wd, err := os.Getwd()
		if err != nil {
			die(1, "as-nobody: %v", err)
		}
		letThrough(filepath.Dir(path))
		letThrough(wd)
		becomeNobody(cmd)
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		die(1, "as-nobody: %v", err)
	}
}

// letThrough lets others pass the private temporary folders above dir.
func letThrough(dir string) {
	for tmp := filepath.Clean(os.TempDir()); dir != tmp && len(dir) > 1; dir = filepath.Dir(dir) {
		if fi, err := os.Stat(dir); err == nil && fi.Mode().Perm()&0o001 == 0 {
			_ = os.Chmod(dir, fi.Mode().Perm()|0o111)
		}
	}
}

// shelf is a program that carries images, for locators shelf:DIR[:NAME]: it keeps
// them in a layout.
func shelf() {
	p := plugin.Plugin{Transport: bundle.Layout{}, Parallel: true}
	if err := p.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		die(1, "shelf: %v", err)
	}
}

func die(code int, format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(code)
}
