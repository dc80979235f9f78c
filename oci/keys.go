package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
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
	return checkValue(json.NewDecoder(bytes.NewReader(data)), specified)
}

// keyRule is what keys of an object must not do.
type keyRule int

const (
	once      keyRule = iota // stand twice
	folded                   // stand twice, in whatever case
	specified                // stand twice, or be one of specKeys in another case
)

// CheckFoldedKeys refuses JSON in which two keys of one object differ in their case alone:
// encoding/json takes both for the same field, other readers for two. Errors: ErrInvalid.
func CheckFoldedKeys(data []byte) error {
	return checkValue(json.NewDecoder(bytes.NewReader(data)), folded)
}

// checkValue checks the next value.
func checkValue(dec *json.Decoder, rule keyRule) error {
	tok, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	switch tok {
	case json.Delim('['):
		for dec.More() {
			if err := checkValue(dec, rule); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		if err := checkObject(dec, rule); err != nil {
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

func checkObject(dec *json.Decoder, rule keyRule) error {
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%w: %v", ErrInvalid, err)
		}
		key, _ := tok.(string)
		same := key
		if rule == folded {
			same = strings.Map(foldRune, key)
		}
		if seen[same] {
			return fmt.Errorf("%w: key %.40q stands twice", ErrInvalid, key)
		}
		seen[same] = true
		below := rule
		if rule == specified {
			if err := checkCase(key); err != nil {
				return err
			}
		}
		if rule == specified && !slices.Contains(descends, key) {
			below = once
		}
		if err := checkValue(dec, below); err != nil {
			return err
		}
	}
	return nil
}

// foldRune is the least of the runes that are equal to r in whatever case (ſ is an s), as
// encoding/json has it.
func foldRune(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

func checkCase(key string) error {
	for _, k := range specKeys {
		if key != k && strings.EqualFold(key, k) {
			return fmt.Errorf("%w: key %q is not %q", ErrInvalid, key, k)
		}
	}
	return nil
}
