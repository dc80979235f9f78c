package bundle_test

import (
	"path/filepath"
	"testing"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/content/contenttest"
)

func TestLayoutKeepsItsPromises(t *testing.T) {
	contenttest.Transport(t, contenttest.TransportSuite{
		Open: func(t *testing.T) (content.Transport, string) {
			return bundle.Layout{}, filepath.Join(t.TempDir(), "layout")
		},
		Several: true,
	})
}
