package blobstore

import (
	"testing"
	"testing/synctest"
)

// A pipe that is closed before its goroutines have begun ends them all the same.
func TestAPipeIsClosedAtOnce(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		newPipe(nil, hasher(""), &blockSums{}, 0).close()
	})
}
