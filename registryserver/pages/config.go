package pages

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// maxConfig bounds a configuration that is read whole; of a larger one only the
// beginning is shown.
const maxConfig = 1 << 20

// configView is what a configuration says: an image's or a chart's in words, any
// other as its text.
type configView struct {
	MediaType string
	Digest    oci.Digest
	Size      int64
	Link      string
	State     string // why nothing is shown of it
	Image     bool
	Created   time.Time
	Facts     rows[pair]
	Env       rows[string]
	Labels    rows[pair]
	History   rows[historyRow]
	Raw       *excerpt
}

type historyRow struct {
	CreatedBy, Comment string
	Created            time.Time
	Empty              bool // made no layer
}

// config shows the configuration desc of a manifest in repo; nil for one that says
// nothing.
func (s *site) config(ctx context.Context, repo *repository, desc oci.Descriptor) (*configView, error) {
	if desc.MediaType == oci.MediaTypeEmpty {
		return nil, nil
	}
	v := &configView{
		MediaType: clip(desc.MediaType), Digest: desc.Digest, Size: desc.Size,
		Link: "/v2/" + repo.path + "/blobs/" + desc.Digest.String(),
	}
	// That a manifest refers to it does not make it a part of the repository.
	here, err := s.here(ctx, repo.ref.Name(), []oci.Descriptor{desc})
	if err != nil {
		return nil, err
	}
	var data []byte
	var whole bool
	if here[desc.Digest] {
		data, whole, err = s.beginning(ctx, desc)
	}
	if !here[desc.Digest] || unreadable(err) {
		v.State = "It is not here, or damaged."
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	if whole && oci.IsImageConfig(desc.MediaType) && v.readImage(data) {
		return v, nil
	}
	if whole && desc.MediaType == chartConfig && v.readChart(data) {
		return v, nil
	}
	v.showText(data, whole, desc.Size)
	return v, nil
}

// beginning reads all of a blob, or where that is too large the part of it that is
// shown.
func (s *site) beginning(ctx context.Context, desc oci.Descriptor) (data []byte, whole bool, err error) {
	if desc.Size <= maxConfig {
		data, err = read(ctx, s.lib, desc, maxConfig)
		return data, true, err
	}
	ra, err := s.lib.ReaderAt(ctx, oci.Descriptor{Digest: desc.Digest, Size: -1})
	if err != nil {
		return nil, false, err
	}
	defer ra.Close()
	data, err = io.ReadAll(io.NewSectionReader(ra, 0, min(maxRaw, ra.Size())))
	if err != nil {
		err = fmt.Errorf("read %s: %w: %v", desc.Digest, content.ErrCorrupt, err)
	}
	return data, false, err
}

// showText shows JSON and other text, of bytes that are no text nothing.
func (v *configView) showText(data []byte, whole bool, size int64) {
	if bytes.IndexByte(data, 0) >= 0 {
		v.State = "It is no text."
		return
	}
	e := cut(data, size)
	if whole {
		e = pretty(data)
	}
	v.Raw = &e
}

// readImage says whether data is an image's configuration.
func (v *configView) readImage(data []byte) bool {
	var i oci.Image
	if json.Unmarshal(data, &i) != nil {
		return false
	}
	v.Image = true
	if i.Created != nil {
		v.Created = *i.Created
	}
	c := i.Config
	v.fact("Author", i.Author)
	v.fact("Platform", strings.Trim(oci.FormatPlatform(&i.Platform), "/"))
	v.fact("Entrypoint", words(c.Entrypoint))
	v.fact("Command", words(c.Cmd))
	v.fact("Working directory", c.WorkingDir)
	v.fact("User", c.User)
	v.fact("Ports", strings.Join(slices.Sorted(maps.Keys(c.ExposedPorts)), ", "))
	v.fact("Volumes", strings.Join(slices.Sorted(maps.Keys(c.Volumes)), ", "))
	v.fact("Stop signal", c.StopSignal)
	for _, e := range c.Env {
		v.Env.add(clip(e))
	}
	v.Labels = pairs(c.Labels)
	for _, h := range i.History {
		row := historyRow{CreatedBy: clip(h.CreatedBy), Comment: clip(h.Comment), Empty: h.EmptyLayer}
		if h.Created != nil {
			row.Created = *h.Created
		}
		v.History.add(row)
	}
	return true
}

// readChart says whether data is what Helm says of a chart.
func (v *configView) readChart(data []byte) bool {
	var c struct {
		Name, Version, AppVersion, Description, KubeVersion, Type, Home string
		Keywords                                                        []string
	}
	if json.Unmarshal(data, &c) != nil {
		return false
	}
	v.fact("Name", c.Name)
	v.fact("Version", c.Version)
	v.fact("Version of the application", c.AppVersion)
	v.fact("Description", c.Description)
	v.fact("Type", c.Type)
	v.fact("Kubernetes", c.KubeVersion)
	v.fact("Home", c.Home)
	v.fact("Keywords", strings.Join(c.Keywords, ", "))
	return len(v.Facts.List) > 0
}

func (v *configView) fact(key, value string) {
	if value != "" {
		v.Facts.add(newPair(key, value))
	}
}

// words are the arguments of a program as a list in JSON, "" for none: a shell might
// read them in another way.
func words(args []string) string {
	if len(args) == 0 {
		return ""
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(args) != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}
