package client_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"dist.example/client"
)

// Copies of one image into one store, under several names at once, meet at the tag of
// its signatures, which none of them was asked for.
func TestCopiesOfOneImageAtOnceAllSucceed(t *testing.T) {
	t.Parallel()
	const copies = 6
	author, reg := newClient(t, withKeys(t.TempDir())), registry(t)
	generateKey(t, author, client.DefaultKey, nil)
	name := reg.Ref("app:v1")
	_, err := author.Pack(t.Context(), name, []string{file(t, "f", []byte("x"))}, client.PackOptions{Kind: client.PackArtifact})
	must(t, err)
	_, err = author.Push(t.Context(), name, client.PushOptions{})
	must(t, err)
	store := filepath.Join(t.TempDir(), "store")
	_, err = clientOf(t, store).Init(t.Context())
	must(t, err)
	var all sync.WaitGroup
	for i := range copies {
		c := clientOf(t, store)
		all.Go(func() {
			if _, err := c.Copy(t.Context(), name, fmt.Sprintf("store:r.example/app:v%d", i), client.CopyOptions{}); err != nil {
				t.Errorf("copy %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if got := names(t, clientOf(t, store)); len(got) != copies {
		t.Errorf("the names are %q", got)
	}
}
