package bundle

import (
	"encoding/json"
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// MaxRequest bounds a request in bytes.
const MaxRequest = 64 << 20

// maxStoreID is the most characters that the id of a store has.
const maxStoreID = 64

// Request is what a receiver lacks, written for the sender when a delta could not be
// imported: the bundle that answers it carries those blobs, and what they list.
type Request struct {
	Version int `json:"version"`
	// Bundle is the digest of index.json of the bundle that lacked something, and Name
	// and Serial that one's.
	Bundle oci.Digest `json:"bundle"`
	Name   string     `json:"name,omitempty"`
	Serial int64      `json:"serial,omitempty"`
	// Store is the id of the store that asks.
	Store string `json:"store,omitempty"`
	// Images are what the bundle lists, with their names.
	Images []RequestedImage `json:"images"`
	// Missing are the blobs that are lacking, by digest. What the bundle itself carried
	// is not among them, nor what is below a manifest that is: nobody there knows of it.
	// Sizes are -1 where the receiver does not know them.
	Missing []BlobEntry `json:"missing"`
}

// RequestedImage is a name and what it stands for.
type RequestedImage struct {
	Name      string     `json:"name,omitempty"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType,omitempty"`
}

// Encode gives the one form in which r is written.
func (r Request) Encode() ([]byte, error) {
	r.Version = contentsVersion
	data, err := json.Marshal(r)
	return append(data, '\n'), err
}

// ParseRequest reads what Encode wrote. Errors: ErrInvalid for what is no request,
// ErrUnsupported for another version.
func ParseRequest(data []byte) (Request, error) {
	var r Request
	if len(data) > MaxRequest {
		return r, tooLarge("request", int64(len(data)), MaxRequest)
	}
	if err := parseOnce(data, &r); err != nil {
		return r, fmt.Errorf("request: %w: %v", content.ErrInvalid, err)
	}
	if r.Version != contentsVersion {
		return r, fmt.Errorf("request: %w: version %d, and only %d is read", content.ErrUnsupported, r.Version, contentsVersion)
	}
	if err := r.check(); err != nil {
		return r, fmt.Errorf("request: %w", err)
	}
	return r, nil
}

// check refuses what no writer writes.
func (r Request) check() error {
	if r.Name != "" {
		if err := oci.CheckBundleName(r.Name); err != nil {
			return err
		}
	}
	if r.Serial < 0 || len(r.Store) > maxStoreID || strings.ContainsFunc(r.Store, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%w: serial %d, store %.80q", content.ErrInvalid, r.Serial, r.Store)
	}
	digests := []oci.Digest{r.Bundle}
	for _, i := range r.Images {
		digests = append(digests, i.Digest)
	}
	for i, b := range r.Missing {
		if i > 0 && r.Missing[i-1].Digest >= b.Digest {
			return fmt.Errorf("%w: what is missing is not in order, each once", content.ErrInvalid)
		}
		digests = append(digests, b.Digest)
	}
	for _, d := range digests {
		if _, err := oci.ParseDigest(d.String()); err != nil {
			return err
		}
	}
	return nil
}
