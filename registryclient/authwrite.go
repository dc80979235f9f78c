package registryclient

import (
	"context"
	"fmt"

	"dist.example/fsys"
)

// rewrite gives the auth file at path another content, or makes it, see fsys.Rewrite.
// Only its owner may read it.
func (f *credentialFiles) rewrite(ctx context.Context, path string, change func([]byte) ([]byte, error)) error {
	err := fsys.Rewrite(ctx, path, fsys.Rewriting{FS: f.disk, Limit: maxConfigBytes, Mode: 0o600}, change)
	if err != nil {
		return fmt.Errorf("auth file %s: %w", path, err)
	}
	return nil
}
