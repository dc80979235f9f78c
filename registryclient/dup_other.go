//go:build !unix

package registryclient

import (
	"errors"
	"os"
)

// duplicate is for systems where sending a file gains nothing from it.
func duplicate(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
