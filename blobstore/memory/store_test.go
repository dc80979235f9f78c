package memory_test

import (
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/content/contenttest"
)

func TestStoreKeepsThePromises(t *testing.T) {
	contenttest.Store(t, func(*testing.T) content.Store { return memory.New() })
}
