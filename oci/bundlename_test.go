package oci_test

import (
	"errors"
	"strings"
	"testing"

	"dist.example/oci"
)

func TestNamesOfBundles(t *testing.T) {
	for name, ok := range map[string]bool{
		"site": true, "harbour/weekly-2.x_y": true, strings.Repeat("a", 128): true,
		"": false, "/a": false, "a/": false, "a//b": false, "../a": false, "a/.": false, "-a": false, "a b": false, "a:b": false, "ä": false, strings.Repeat("a", 129): false,
	} {
		if err := oci.CheckBundleName(name); (err == nil) != ok || err != nil && !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
