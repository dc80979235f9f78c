package sign

import (
	"maps"
	"slices"

	"dist.example/fsys"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// readFile reads a small file, with the class of what goes wrong.
func readFile(path string, limit int64) ([]byte, error) {
	data, err := fsys.ReadCapped(path, limit)
	return data, fsys.Classify(err)
}
