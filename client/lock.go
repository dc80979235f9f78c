package client

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"dist.example/fsys"
	"dist.example/oci"
)

// lockLine is one line of a lock.
type lockLine struct {
	name     oci.Reference
	digest   oci.Digest
	platform *oci.Platform
}

func (l lockLine) String() string {
	s := l.name.String()
	if l.name.Digest == "" {
		s += "@" + l.digest.String()
	}
	if p := oci.FormatPlatform(l.platform); p != "" {
		s += " " + p
	}
	return s
}

// writeLock writes a lock, which is a list with digests: sorted, each line once,
// and in one step, so that whoever reads path sees the old lock or the new one.
func writeLock(ctx context.Context, path string, lines []lockLine) error {
	text := make([]string, len(lines))
	for i, l := range lines {
		text[i] = l.String()
	}
	slices.Sort(text)
	var b bytes.Buffer
	for _, l := range slices.Compact(text) {
		fmt.Fprintln(&b, l)
	}
	if err := replaceFile(ctx, path, b.Bytes()); err != nil {
		return fmt.Errorf("lock %s: %w", path, fsys.Classify(err))
	}
	return nil
}
