// Command release makes what is published of a version: for each system and
// processor an archive with the static binary, packages for Debian, the sums of
// them all, a list of what the binaries were linked from (SPDX), and the whole as
// one OCI archive. With a key the sums and the archive are signed.
//
//	go run ./internal/release -key release
//
// All comes from one commit: the tree has to be as it was committed, in a checkout
// of its own, and the time of everything is that of the commit. The same commit
// and the same Go make the same bytes in any folder on any machine. Signatures
// alone differ, and what holds them, since they tell when they were made.
//
// The folder appears when everything in it is whole; a run that ends early leaves
// what was published before as it was. Nothing is sent anywhere.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/sign"
)

const sumsName = "SHA256SUMS"

func main() {
	if err := mainErr(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		if hint := content.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, "release: hint:", hint)
		}
		os.Exit(1)
	}
}

func mainErr() error {
	r := release{root: ".", log: os.Stderr}
	flag.StringVar(&r.out, "o", filepath.Join("bin", "release"), "write to this `folder`, in place of an earlier release")
	flag.StringVar(&r.key, "key", os.Getenv("DIST_KEY"), "sign with this `key`: a label, an id, a file or PLUGIN://KEY")
	systems := flag.String("systems", runtime.GOOS+"/"+runtime.GOARCH, "`systems` to build for, as in linux/amd64, with blanks between them")
	flag.Parse()
	r.out = filepath.Clean(r.out) // a folder is made beside it
	for _, word := range strings.Fields(*systems) {
		s, err := parseSystem(word)
		if err != nil {
			return err
		}
		r.systems = append(r.systems, s)
	}
	if flag.NArg() > 0 || len(r.systems) == 0 {
		return errors.New("want at least one system, and no other arguments")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return r.run(ctx)
}

// release is one run.
type release struct {
	root    string // the checkout
	out     string
	key     string // "" for a release that is not signed
	systems []system
	env     []string // besides this process's own, for the programs that are run
	log     io.Writer

	source
	signer *sign.Signer
	work   string // becomes out when all is done
	temp   string // goes away
	host   string // a dist of this commit that runs here
	common []file // what is the same in every archive
}

func (r *release) say(format string, args ...any) { fmt.Fprintf(r.log, format+"\n", args...) }

func (r *release) run(ctx context.Context) (err error) {
	if r.source, err = readSource(ctx, r.root); err != nil {
		return err
	}
	if err := r.openKey(ctx); err != nil { // before minutes of work, not after them
		return err
	}
	if r.temp, err = os.MkdirTemp("", "dist-release-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.temp)
	if err := r.begin(); err != nil {
		return err
	}
	defer os.RemoveAll(r.work)
	for _, step := range []func(context.Context) error{r.gather, r.buildAll, r.writeSums, r.signSums, r.bundle} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.Rename(r.work, r.out); err != nil {
		return err
	}
	return r.report()
}

// begin makes the folder to work in. What is in the way has to be a release, since
// it is removed in the end.
func (r *release) begin() error {
	entries, err := os.ReadDir(r.out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == sumsName }) {
		return fmt.Errorf("%s holds something that is no release: it stays", r.out)
	}
	r.work = r.out + ".new"
	if err := os.RemoveAll(r.work); err != nil {
		return err
	}
	return os.MkdirAll(r.work, 0o755)
}

// gather reads what every archive has, and builds the program that helps with it.
func (r *release) gather(ctx context.Context) error {
	for _, name := range []string{"CHANGELOG.md", "LICENSE", "README.md"} {
		data, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return err
		}
		r.common = append(r.common, file{name, 0o644, data})
	}
	r.host = filepath.Join(r.temp, "dist")
	if runtime.GOOS == "windows" {
		r.host += ".exe"
	}
	if _, err := r.build(ctx, system{runtime.GOOS, runtime.GOARCH}, r.host); err != nil {
		return err
	}
	extras, err := r.extras(ctx)
	r.common = append(r.common, extras...)
	return err
}

// buildAll writes an archive for each system, a package where Debian runs on it, and
// the list of what is in them.
func (r *release) buildAll(ctx context.Context) error {
	var list bill
	for _, s := range r.systems {
		r.say("release: %s %s", r.version, s)
		path := filepath.Join(r.temp, s.os+"-"+s.arch)
		info, err := r.build(ctx, s, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		list.add(s, info, data)
		if err := r.writeArchive(s, data); err != nil {
			return err
		}
		if s.os == "linux" {
			if err := r.writePackage(s, data); err != nil {
				return err
			}
		}
	}
	data, err := list.encode(r.source)
	if err != nil {
		return err
	}
	return r.write(r.billName(), data)
}

func (r *release) billName() string { return "dist_" + r.version + ".spdx.json" }

func (r *release) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(r.work, name), data, 0o644)
}

// names are those of the files so far, sorted.
func (r *release) names() ([]string, error) {
	entries, err := os.ReadDir(r.work)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// writeSums writes the sums of all files, as sha256sum does.
func (r *release) writeSums(context.Context) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.work, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	return r.write(sumsName, []byte(sums.String()))
}

func (r *release) report() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	r.say("%s has %d files of version %s, commit %.12s:", r.out, len(entries), r.version, r.commit)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		r.say("  %9d  %s", info.Size(), e.Name())
	}
	if r.signer == nil {
		r.say("NOT SIGNED: no key was given (make release KEY=label-or-file)")
		return nil
	}
	r.say("signed with %s", r.signer.Public().ID())
	return nil
}
