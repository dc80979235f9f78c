// Command dist-transport-dir lets dist read and write images in a plain folder. It is
// an example of a program for package plugin, small enough to be read whole, and of use
// where a layout is more than is wanted.
//
// With it on PATH, dist takes locators dir:FOLDER[:NAME]:
//
//	dist copy docker.io/library/redis:7 dir:/mnt/stick/images
//	dist pull dir:/mnt/stick/images:redis:7
//
// # The folder
//
// Each blob and manifest is a file whose name is its digest with a "-" in place of the
// colon: sha256-9f86d081…. The file names.json lists the images, each with its
// descriptor and its name. A file is written under another name, .dist-transport-dir-*,
// and synced before it is renamed; names.json changes under a lock on names.lock, so
// that several may write at once. A crash leaves files that no name leads to. FOLDER
// ends at its first colon.
//
// # Writing a program like this
//
// Package plugin documents the protocol for any language. In Go it is enough to
// implement content.Transport, as store.go does, and to call Plugin.Serve, as main
// does.
package main

import (
	"context"
	"fmt"
	"os"

	"dist.example/plugin"
)

func main() {
	p := plugin.Plugin{Transport: folders{}, Parallel: true}
	if err := p.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
