package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Verify reads and hashes all that is here, one blob after the other. observe is told
// of progress: one blob with the name "verify", whose size is that of everything; nil
// is fine. What a manifest lists and nobody has put here is no damage. Errors:
// ErrCorrupt once everything was read, which names what is damaged.
func (l *Library) Verify(ctx context.Context, observe content.Observer) error {
	v, err := l.view(ctx)
	if err != nil {
		return err
	}
	told := content.Event{Kind: content.EventStarted, Name: "verify"}
	for _, n := range v.nodes {
		told.Total += n.size
	}
	if observe == nil {
		observe = func(content.Event) {}
	}
	observe(told)
	told.Kind = content.EventAdvanced
	var damaged []string
	for _, d := range slices.Sorted(maps.Keys(v.nodes)) {
		start := told.Offset
		err := l.verify(ctx, d, func(n int) {
			told.Offset += int64(n)
			observe(told)
		})
		if errors.Is(err, content.ErrCorrupt) {
			damaged = append(damaged, d.String())
		} else if err != nil && !errors.Is(err, content.ErrNotFound) {
			return err
		}
		told.Offset = start + v.nodes[d].size
		observe(told)
	}
	told.Kind = content.EventFinished
	observe(told)
	return l.damage(damaged)
}

func (l *Library) damage(damaged []string) error {
	const few = 5
	switch n := len(damaged); {
	case n == 0:
		return nil
	case n > few:
		damaged = append(damaged[:few], fmt.Sprintf("and %d more", n-few))
	}
	return fmt.Errorf("verify %s: %w: %s", l.path, content.ErrCorrupt, strings.Join(damaged, ", "))
}

// verify reads one blob to its end.
func (l *Library) verify(ctx context.Context, d oci.Digest, read func(n int)) error {
	rc, err := l.Fetch(ctx, oci.Descriptor{Digest: d, Size: -1})
	if err != nil {
		return err
	}
	defer rc.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := rc.Read(buf)
		read(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
