package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// maxYAMLDepth is how deep mappings and lists may stand in each other.
	maxYAMLDepth = 200
	// maxYAMLMarks bounds the memory that a document takes once it is read, which may be
	// a hundred times its length. A list of 10 MiB as Kubernetes writes them has half as
	// many.
	maxYAMLMarks = 1 << 20
)

// isYAML tells a list in YAML or JSON from one with a name a line, by the first line
// that says anything: no name looks like what those begin with.
func isYAML(data []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte(byteOrderMark))) {
		words := bytes.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		first := string(words[0])
		return first == "---" || first == "-" || strings.ContainsAny(first[:1], "{[%") || strings.HasSuffix(first, ":")
	}
	return false
}

// yamlList is a list that is read from YAML. Aliases are followed only where an image
// is named, and then once: nothing grows by them.
type yamlList struct {
	name    string
	o       ListOptions
	entries []ListEntry
	seen    map[string]bool
	passed  bool
}

// readYAMLList reads the images that YAML documents name: those of hauler by its own
// rules, all others by their fields called image.
func readYAMLList(data []byte, name string, o ListOptions) ([]ListEntry, error) {
	if yamlMarks(data) > maxYAMLMarks {
		return nil, fmt.Errorf("%s: %w: the list has more parts than are read at once: divide it", name, content.ErrInvalid)
	}
	l := &yamlList{name: name, o: o, seen: map[string]bool{}}
	documents := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := documents.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, l.notYAML(data, err)
		}
		if err := l.document(&doc); err != nil {
			return nil, err
		}
	}
	if len(l.entries) == 0 {
		return nil, l.nothing()
	}
	return l.entries, nil
}

// nothing is the error of a list that names no image: unlike an empty list with a name a
// line, which programs write, it was not meant to be read.
func (l *yamlList) nothing() error {
	what := "no image is found in it"
	if l.passed {
		what = "no image in it can be taken"
	}
	return content.WithHint(fmt.Errorf("%s: %w: %s", l.name, content.ErrInvalid, what),
		"of YAML and JSON, manifests of hauler, objects of Kubernetes and values of charts are read; else a list has a name a line")
}

// yamlMarks counts what begins or ends a part of a document: no more than a few parts
// come of each.
func yamlMarks(data []byte) (n int) {
	for _, mark := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029", ",", "[", "{", "- ", "-\t", "? ", "?\t"} {
		n += bytes.Count(data, []byte(mark))
	}
	return n
}

func (l *yamlList) notYAML(data []byte, err error) error {
	err = fmt.Errorf("%s: %w: %s", l.name, content.ErrInvalid, strings.TrimPrefix(err.Error(), "yaml: "))
	if bytes.Contains(data, []byte("{{")) {
		return content.WithHint(err, "a template is no YAML until it is filled in, as `helm template` does")
	}
	return err
}

// at is the place of n.
func (l *yamlList) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", l.name, n.Line) }

// pass tells what is not taken.
func (l *yamlList) pass(where, format string, args ...any) {
	l.passed = true
	if l.o.PassedOver != nil {
		l.o.PassedOver(where, fmt.Sprintf(format, args...))
	}
}

// add takes an image in; the first place that names it counts.
func (l *yamlList) add(where string, ref oci.Reference, p *oci.Platform) {
	key := ref.String() + " " + oci.FormatPlatform(p)
	if l.seen[key] {
		return
	}
	l.seen[key] = true
	l.entries = append(l.entries, ListEntry{Word: ref.String(), Platform: p, Where: where})
}

func (l *yamlList) document(doc *yaml.Node) error {
	root := doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		root = doc.Content[0]
	}
	group, _, _ := strings.Cut(yamlText(yamlField(root, "apiVersion")), "/")
	if strings.HasSuffix(group, ".hauler.cattle.io") {
		return l.hauler(root)
	}
	return l.walk(root, 0)
}

// walk takes the images of all fields called image below n. What an object says of its
// status is not what it asks for, and a schema only says which fields there may be.
func (l *yamlList) walk(n *yaml.Node, depth int) error {
	kind := yamlText(yamlField(n, "kind"))
	switch {
	case depth > maxYAMLDepth:
		return fmt.Errorf("%s: %w: more than %d levels deep", l.at(n), content.ErrInvalid, maxYAMLDepth)
	case kind == "CustomResourceDefinition":
		return nil
	case n.Kind != yaml.MappingNode:
		for _, part := range n.Content {
			if err := l.walk(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	object := kind != "" && yamlField(n, "apiVersion") != nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Value == "status" && object:
			continue
		case key.Value == "image":
			l.image(l.at(key), yamlTarget(value))
		}
		if err := l.walk(value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// image takes the value of a field called image: a string, or a mapping as volumes
// (reference) and the values of charts (repository) have it. Any other names none.
func (l *yamlList) image(where string, value *yaml.Node) {
	var word string
	switch value.Kind {
	case yaml.ScalarNode:
		if value.ShortTag() == "!!str" {
			word = value.Value
		}
	case yaml.MappingNode:
		if len(value.Content) > 0 && value.Content[0].Kind == yaml.MappingNode { // {{ … }}
			l.pass(where, "image is for a template to fill in")
			return
		}
		word = yamlText(yamlField(value, "reference"))
		if repository := yamlText(yamlField(value, "repository")); word == "" && repository != "" {
			var ok bool
			if word, ok = imageOfValues(value, repository); !ok {
				l.pass(where, "image %q has neither tag nor digest: its chart chooses", word)
				return
			}
		}
	}
	if word == "" {
		return
	}
	ref, err := oci.ParseReference(word)
	if err != nil {
		l.pass(where, "image %q is not the name of one", word)
		return
	}
	l.add(where, ref, nil)
}

// imageOfValues puts together what the values of a chart say in parts; ok is false
// where neither tag nor digest is said.
func imageOfValues(value *yaml.Node, repository string) (word string, ok bool) {
	word = repository
	if registry := yamlText(yamlField(value, "registry")); registry != "" {
		word = strings.TrimSuffix(registry, "/") + "/" + repository
	}
	tag, digest := yamlText(yamlField(value, "tag")), yamlText(yamlField(value, "digest"))
	if tag != "" {
		word += ":" + tag
	}
	if digest != "" {
		word += "@" + digest
	}
	_, err := oci.ParseRepository(word)
	return word, err != nil // also where it is no name at all
}

// yamlTarget is what an alias stands for, or n itself.
func yamlTarget(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// yamlField is the value of a mapping's field, nil where n is no mapping or has none.
func yamlField(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return yamlTarget(n.Content[i+1])
		}
	}
	return nil
}

// yamlText is a scalar as it is written, "" for what is none.
func yamlText(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value
}

// yamlItems are those of a list, none where n is no list.
func yamlItems(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = yamlTarget(item)
	}
	return items
}
