package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// FieldChange is a field of a JSON document that differs.
type FieldChange struct {
	// Path leads to it as jq writes it, without the first point: config.Labels["a.b"],
	// history[2].created_by. It is "" for the whole document.
	Path     string
	Old, New json.RawMessage // nil where there is none
}

// decodeJSON reads a document, with numbers as they are written.
func decodeJSON(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("document: %w: %v", content.ErrInvalid, err)
	}
	return v, nil
}

// fieldChanges lists the smallest fields in which two documents differ.
func fieldChanges(a, b any) []FieldChange {
	var found []FieldChange
	compareJSON("", a, b, func(c FieldChange) { found = append(found, c) })
	return found
}

// absent is the value of a field that is not there.
type absent struct{}

func compareJSON(path string, a, b any, found func(FieldChange)) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			compareObjects(path, x, y, found)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			for i := range max(len(x), len(y)) {
				compareJSON(fmt.Sprintf("%s[%d]", path, i), item(x, i), item(y, i), found)
			}
			return
		}
	}
	older, newer := encodeJSON(a), encodeJSON(b)
	if !bytes.Equal(older, newer) {
		found(FieldChange{path, older, newer})
	}
}

func compareObjects(path string, x, y map[string]any, found func(FieldChange)) {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(x)), maps.Keys(y))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		compareJSON(path+step(path, key), value(x, key), value(y, key), found)
	}
}

func value(m map[string]any, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	return absent{}
}

func item(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

// step is how a key is written behind a path.
func step(path, key string) string {
	plain := key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == "" && (key[0] < '0' || key[0] > '9')
	switch {
	case !plain:
		return "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return "." + key
}

// encodeJSON is v in one line, nil for what is absent.
func encodeJSON(v any) json.RawMessage {
	if v == (absent{}) {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // what was decoded can be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// PartState says where a part is.
type PartState string

// The states.
const (
	PartCommon  PartState = "common"  // in both, and described alike
	PartChanged PartState = "changed" // in both, and something is said of it that differs
	PartRemoved PartState = "removed" // in the old one only
	PartAdded   PartState = "added"   // in the new one only
)

// PartChange is a layer or manifest of one or both sides.
type PartChange struct {
	// Key is what it was matched by: a diff_id, title, digest or platform.
	Key      string
	Old, New *oci.Descriptor // nil where the side has none
}

// State says on which sides it is.
func (p PartChange) State() PartState {
	switch {
	case p.Old == nil:
		return PartAdded
	case p.New == nil:
		return PartRemoved
	case bytes.Equal(encodeJSON(p.Old), encodeJSON(p.New)):
		return PartCommon
	}
	return PartChanged
}

// keyed is a descriptor with what it is matched by.
type keyed struct {
	key  string
	desc oci.Descriptor
}

// parts are the layers or manifests, in their order.
func (x *side) parts() ([]keyed, error) {
	var list []keyed
	switch x.kind {
	case PackIndex:
		for _, m := range x.index.Manifests {
			key := oci.FormatPlatform(m.Platform)
			if key == "" {
				key = m.Digest.String()
			}
			list = append(list, keyed{key, m})
		}
	case PackArtifact:
		for _, l := range x.manifest.Layers {
			key := l.Annotations[oci.AnnotationTitle]
			if key == "" {
				key = l.Digest.String()
			}
			list = append(list, keyed{key, l})
		}
	default:
		ids, err := x.diffIDs()
		if err != nil {
			return nil, err
		}
		for i, l := range x.manifest.Layers {
			list = append(list, keyed{ids[i].String(), l})
		}
	}
	return list, nil
}

// partChanges matches the parts of two lists by their keys; the n-th of a key is
// matched with the n-th. Those of the old list come first. reordered says that the
// matched ones stand in another order.
func partChanges(a, b []keyed) (changes []PartChange, reordered bool) {
	places := map[string][]int{} // in b
	for i, p := range b {
		places[p.key] = append(places[p.key], i)
	}
	matched := make([]bool, len(b))
	last := -1
	for _, p := range a {
		c := PartChange{Key: p.key, Old: &p.desc}
		if at := places[p.key]; len(at) > 0 {
			i := at[0]
			places[p.key], matched[i], c.New = at[1:], true, &b[i].desc
			reordered = reordered || i < last
			last = i
		}
		changes = append(changes, c)
	}
	for i, p := range b {
		if !matched[i] {
			changes = append(changes, PartChange{Key: p.key, New: &p.desc})
		}
	}
	return changes, reordered
}
