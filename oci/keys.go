package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// specKeys are the keys that decide what a document refers to. encoding/json
// takes them in any case, other readers in this case only.
var specKeys = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "fsLayers",
	"digest", "size", "urls", "data", "platform", "annotations",
	"architecture", "os", "os.version", "os.features", "variant",
}

// descends are the keys below which specKeys keep their meaning.
var descends = []string{"config", "layers", "manifests", "subject", "platform"}

// checkKeys refuses a document in which a key stands twice, or one of specKeys
// in another case: of two readers one would take the first and one the last, or
// one would see a field that the other does not. data is valid JSON.
func checkKeys(data []byte) error {
	return checkValue(json.NewDecoder(bytes.NewReader(data)), true)
}

// checkValue checks the next value; spec says that specKeys count in it.
func checkValue(dec *json.Decoder, spec bool) error {
	tok, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	switch tok {
	case json.Delim('['):
		for dec.More() {
			if err := checkValue(dec, spec); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		if err := checkObject(dec, spec); err != nil {
			return err
		}
	default:
		return nil
	}
	// The closing bracket.
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	return nil
}

func checkObject(dec *json.Decoder, spec bool) error {
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%w: %v", ErrInvalid, err)
		}
		key, _ := tok.(string)
		if seen[key] {
			return fmt.Errorf("%w: key %.40q stands twice", ErrInvalid, key)
		}
		seen[key] = true
		if spec {
			if err := checkCase(key); err != nil {
				return err
			}
		}
		if err := checkValue(dec, spec && slices.Contains(descends, key)); err != nil {
			return err
		}
	}
	return nil
}

func checkCase(key string) error {
	for _, k := range specKeys {
		if key != k && strings.EqualFold(key, k) {
			return fmt.Errorf("%w: key %q is not %q", ErrInvalid, key, k)
		}
	}
	return nil
}
