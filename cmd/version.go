package cmd

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set by the build: -ldflags "-X dist.example/cmd.version=v1.2.3".
var version string

// versionCmd is `dist version`.
type versionCmd struct{}

type versionJSON struct {
	Program  string `json:"program"`
	Release  string `json:"release"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Help is the longer text of `dist version --help`.
func (versionCmd) Help() string {
	return "Example:\n\n    $ dist version\n    dist v1.0.0 go1.26.0 linux/amd64"
}

// Run prints the version.
func (versionCmd) Run(s *session) error {
	v := versionJSON{"dist", release(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	return s.object(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %s %s %s\n", v.Program, v.Release, v.Go, v.Platform)
		return err
	})
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
