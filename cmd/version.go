package cmd

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"dist.example/schema"
)

// version is set by the build: -ldflags "-X dist.example/cmd.version=v1.2.3".
var version string

// versionCmd is `dist version`.
type versionCmd struct{}

type versionJSON struct {
	Program  string       `json:"program"`
	Release  string       `json:"release"`
	Go       string       `json:"go"`
	Platform string       `json:"platform"`
	Schema   int          `json:"schema"` // of the catalogs that it makes
	Commit   string       `json:"commit"`
	Time     string       `json:"commitTime"`
	Modified bool         `json:"modified"`
	Modules  []moduleJSON `json:"modules"`
}

type moduleJSON struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum"`
}

// Help is the longer text of `dist version --help`.
func (versionCmd) Help() string {
	return `As JSON it also tells which commit it was built from, which version of the catalog it makes and reads, and the modules that are in it. A build outside a Git checkout knows no commit.

Examples:

    $ dist version
    dist v1.0.0 go1.26.0 linux/amd64
    $ dist version --format json`
}

// Run prints the version.
func (versionCmd) Run(s *session) error {
	v := newVersionJSON(debug.ReadBuildInfo())
	return s.object(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %s %s %s\n", v.Program, v.Release, v.Go, v.Platform)
		return err
	})
}

// newVersionJSON tells of this program, and what its build has recorded, where it
// has.
func newVersionJSON(info *debug.BuildInfo, recorded bool) versionJSON {
	v := versionJSON{
		Program: "dist", Release: release(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Schema: schema.Version, Modules: []moduleJSON{},
	}
	if !recorded {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		v.Modules = append(v.Modules, moduleJSON{m.Path, m.Version, m.Sum})
	}
	return v
}

// release is the version that the build was given, else what the Go toolchain
// recorded.
func release() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
