package client

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"dist.example/content"
	"dist.example/oci"
)

// What hauler writes into the annotations of a manifest for all images of it.
const (
	haulerPlatform = "hauler.dev/platform"
	haulerRegistry = "hauler.dev/registry"
)

// haulerKeys are the fields of an image, and with the prefix the annotations, that say
// by which signature hauler would judge it.
var haulerKeys = []string{"key", "certificate-identity", "certificate-identity-regexp"}

const haulerPrefix = "hauler.dev/"

// hauler reads one manifest of hauler. Its images and charts of registries are taken;
// what is none is told.
func (l *yamlList) hauler(doc *yaml.Node) error {
	about := yamlField(yamlField(doc, "metadata"), "annotations")
	list, take := "", l.haulerFile
	switch kind := yamlText(yamlField(doc, "kind")); kind {
	case "Images":
		list, take = "images", func(n *yaml.Node) error { return l.haulerImage(n, about) }
	case "Charts":
		list, take = "charts", l.haulerChart
	case "ImageTxts":
		list, take = "imageTxts", l.imageTxt
	case "Files":
		list = "files"
	default:
		l.pass(l.at(doc), "hauler's kind %q is not read", kind)
	}
	for _, n := range yamlItems(yamlField(yamlField(doc, "spec"), list)) {
		if err := take(n); err != nil {
			return err
		}
	}
	return nil
}

func (l *yamlList) haulerFile(n *yaml.Node) error {
	l.pass(l.at(n), "file %q is not of a registry", yamlText(yamlField(n, "path")))
	return nil
}

func (l *yamlList) haulerImage(n, about *yaml.Node) error {
	where, name := l.at(n), yamlText(yamlField(n, "name"))
	if yamlText(yamlField(n, "local")) == "true" {
		l.pass(where, "image %q is one of a local daemon", name)
		return nil
	}
	ref, err := oci.ParseReference(name)
	if registry := yamlText(yamlField(about, haulerRegistry)); err == nil && registry != "" && !namesHub(name, ref) {
		ref, err = ref.WithRegistry(registry)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	var platform *oci.Platform
	if text := cmp.Or(yamlText(yamlField(n, "platform")), yamlText(yamlField(about, haulerPlatform))); text != "" {
		p, err := oci.ParsePlatform(text)
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		platform = &p
	}
	if to := yamlText(yamlField(n, "rewrite")); to != "" {
		l.pass(where, "image %q keeps its name, and is not called %q", name, to)
	}
	if slices.ContainsFunc(haulerKeys, func(key string) bool {
		return yamlText(yamlField(n, key)) != "" || yamlText(yamlField(about, haulerPrefix+key)) != ""
	}) {
		l.pass(where, "whose signature hauler wants for image %q is not looked at: `dist trust` says whose count", name)
	}
	l.add(where, ref, platform)
	return nil
}

// namesHub says whether a name of an image has its registry written down.
func namesHub(name string, ref oci.Reference) bool {
	return ref.Registry != oci.DockerHub || strings.HasPrefix(name, oci.DockerHub+"/") || strings.HasPrefix(name, "index."+oci.DockerHub+"/")
}

// haulerChart takes a chart of a registry, whose tag is its version with "_" for "+", as
// Helm pushes it.
func (l *yamlList) haulerChart(n *yaml.Node) error {
	where := l.at(n)
	name, repo, version := yamlText(yamlField(n, "name")), yamlText(yamlField(n, "repoURL")), yamlText(yamlField(n, "version"))
	place := name
	if repo != "" {
		place = strings.TrimSuffix(repo, "/") + "/" + name
	}
	path, registry := strings.CutPrefix(place, "oci://")
	tag := strings.ReplaceAll(version, "+", "_")
	switch {
	case !registry:
		l.pass(where, "chart %q is of %q, and not of a registry", name, cmp.Or(repo, "this machine"))
		return nil
	case tag == "":
		l.pass(where, "chart %q has no version: which one is meant is for a list to say", name)
		return nil
	case !oci.IsTag(tag):
		l.pass(where, "chart %q has %q as its version, which is not one version", name, version)
		return nil
	}
	ref, err := oci.ParseReference(path + ":" + tag)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for _, more := range []string{"add-images", "add-dependencies"} {
		if yamlText(yamlField(n, more)) == "true" {
			l.pass(where, "chart %q comes alone: %s is not done", name, more)
		}
	}
	l.add(where, ref, nil)
	return nil
}

// imageTxt reads the list beside this one that an ImageTxts names: an image a line,
// perhaps with the sources that want it.
func (l *yamlList) imageTxt(n *yaml.Node) error {
	where, path := l.at(n), cmp.Or(yamlText(yamlField(n, "ref")), yamlText(yamlField(n, "path")))
	if strings.Contains(path, "://") || !filepath.IsLocal(filepath.FromSlash(path)) || l.o.Open == nil {
		l.pass(where, "the list %q is not beside this one: get it and name it with --from", path)
		return nil
	}
	f, err := l.o.Open(filepath.FromSlash(path))
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	defer f.Close()
	data, err := readListBytes(f, path)
	if err != nil {
		return err
	}
	images, err := parseImageTxt(data, path)
	if err != nil {
		return err
	}
	for _, im := range chooseSources(images, yamlField(n, "sources")) {
		l.add(im.where, im.ref, nil)
	}
	return nil
}

// sourcedImage is a line of a list with sources.
type sourcedImage struct {
	ref     oci.Reference
	sources []string
	where   string
}

func parseImageTxt(data []byte, path string) (images []sourcedImage, err error) {
	err = eachListLine(data, path, func(where string, words []string) error {
		if len(words) > 2 {
			return fmt.Errorf("%w: want NAME, or NAME and SOURCE,SOURCE, not %d words", content.ErrInvalid, len(words))
		}
		ref, err := oci.ParseReference(words[0])
		im := sourcedImage{ref: ref, where: where}
		if len(words) == 2 {
			im.sources = strings.Split(words[1], ",")
		}
		images = append(images, im)
		return err
	})
	return images, err
}

// chooseSources picks by hauler's rules: those of the included sources, else those that
// are not of the excluded ones alone; all of a list that has no sources.
func chooseSources(images []sourcedImage, sources *yaml.Node) []sourcedImage {
	include, exclude := yamlTexts(yamlField(sources, "include")), yamlTexts(yamlField(sources, "exclude"))
	sourced := slices.ContainsFunc(images, func(im sourcedImage) bool { return im.sources != nil })
	if !sourced || len(include)+len(exclude) == 0 {
		return images
	}
	wanted := func(source string) bool { return slices.Contains(include, source) }
	if len(include) == 0 {
		wanted = func(source string) bool { return !slices.Contains(exclude, source) }
	}
	return slices.DeleteFunc(images, func(im sourcedImage) bool { return !slices.ContainsFunc(im.sources, wanted) })
}

func yamlTexts(n *yaml.Node) (texts []string) {
	for _, item := range yamlItems(n) {
		texts = append(texts, yamlText(item))
	}
	return texts
}
