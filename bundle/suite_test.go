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

func TestArchivesKeepTheirPromises(t *testing.T) {
	for name, tr := range map[string]content.Transport{"oci": bundle.OCIArchive{}, "docker": bundle.DockerArchive{}} {
		t.Run(name, func(t *testing.T) {
			contenttest.Transport(t, contenttest.TransportSuite{
				Open: func(t *testing.T) (content.Transport, string) {
					return tr, filepath.Join(t.TempDir(), "image.tar")
				},
			})
		})
	}
}
