package layer

import (
	"encoding/json"
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// configKeys are the fields of a configuration that are looked at here.
var configKeys = []string{"architecture", "os", "rootfs", "history"}

// configuration makes the image's, or completes the one that is given.
func (o ImageOptions) configuration() ([]byte, oci.Descriptor, error) {
	mediaType := o.ConfigType
	if mediaType == "" {
		mediaType = oci.MediaTypeImageConfig
	}
	if o.Document == nil {
		return oci.Encode(mediaType, o.config())
	}
	doc, err := parseConfig(o.Document)
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	if doc.listed && (len(doc.diffIDs) > 0 || len(o.Layers) == 0) {
		return o.Document, oci.Describe(mediaType, o.Document), doc.matches(o.Layers)
	}
	if doc.steps != 0 && doc.steps != len(o.Layers) {
		return nil, oci.Descriptor{}, fmt.Errorf("configuration: %w: its history tells of %d layers, there are %d",
			content.ErrInvalid, doc.steps, len(o.Layers))
	}
	if err := doc.setPlatform(o.Platform); err != nil {
		return nil, oci.Descriptor{}, err
	}
	if err := doc.extend(o.Layers, o.Created); err != nil {
		return nil, oci.Descriptor{}, err
	}
	return oci.Encode(mediaType, doc)
}

// configDocument is a configuration, and what it says of layers.
type configDocument struct {
	*oci.Document
	rootfs  *oci.Document
	listed  bool // there is a list of diff_ids
	diffIDs []oci.Digest
	steps   int // steps of the history that made a layer
}

func parseConfig(data []byte) (*configDocument, error) {
	doc, err := oci.ParseDocument(data, configKeys...)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	d := &configDocument{Document: doc}
	if err := d.parseRootFS(); err != nil {
		return nil, fmt.Errorf("configuration: rootfs: %w", err)
	}
	var history []oci.History
	if _, err := doc.Get("history", &history); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	for _, step := range history {
		if !step.EmptyLayer {
			d.steps++
		}
	}
	return d, nil
}

func (d *configDocument) parseRootFS() error {
	raw := json.RawMessage("{}")
	_, err := d.Get("rootfs", &raw)
	if err != nil {
		return err
	}
	if d.rootfs, err = oci.ParseDocument(raw, "type", "diff_ids"); err != nil {
		return err
	}
	kind := "layers"
	if _, err := d.rootfs.Get("type", &kind); err != nil {
		return err
	}
	if kind != "layers" {
		return fmt.Errorf("%w: type %q, want layers", content.ErrInvalid, kind)
	}
	d.listed, err = d.rootfs.Get("diff_ids", &d.diffIDs)
	return err
}

// matches holds the diff_ids against those of layers.
func (d *configDocument) matches(layers []LayerInfo) error {
	for i, l := range layers {
		switch {
		case i >= len(d.diffIDs):
			return fmt.Errorf("configuration: %w: it lists %d diff_ids and lacks that of layer %d, %s",
				content.ErrInvalid, len(d.diffIDs), i+1, l.DiffID)
		case d.diffIDs[i] != l.DiffID:
			return fmt.Errorf("configuration: %w: diff_id %d is %s, and that of layer %s is %s",
				content.ErrInvalid, i+1, d.diffIDs[i], l.Descriptor.Digest, l.DiffID)
		}
	}
	if n := len(layers); len(d.diffIDs) > n {
		return fmt.Errorf("configuration: %w: diff_id %d, %s, is of none of the %d layers", content.ErrInvalid, n+1, d.diffIDs[n], n)
	}
	return nil
}

// setPlatform says what the configuration is for, where it does not.
func (d *configDocument) setPlatform(p oci.Platform) error {
	var system, processor string
	_, err := d.Get("os", &system)
	if err == nil {
		_, err = d.Get("architecture", &processor)
	}
	if err == nil && processor == "" {
		err = d.Set("architecture", p.Architecture)
		if err == nil && p.Variant != "" {
			err = d.Set("variant", p.Variant)
		}
	}
	if err == nil && system == "" {
		err = d.Set("os", p.OS)
	}
	return err
}

// extend puts layers on top of those that are listed. A history that was not in
// step with the layers before (there is none in many images) is left as it is.
func (d *configDocument) extend(layers []LayerInfo, epoch time.Time) error {
	created := instant(epoch)
	diffIDs := append([]oci.Digest{}, d.diffIDs...)
	var steps []oci.History
	for _, l := range layers {
		diffIDs = append(diffIDs, l.DiffID)
		steps = append(steps, oci.History{Created: &created, CreatedBy: l.CreatedBy})
	}
	if d.steps == len(d.diffIDs) && len(steps) > 0 {
		if err := oci.AppendTo(d.Document, "history", steps); err != nil {
			return err
		}
	}
	if err := d.rootfs.Set("type", "layers"); err != nil {
		return err
	}
	if err := d.rootfs.Set("diff_ids", diffIDs); err != nil {
		return err
	}
	return d.Set("rootfs", d.rootfs)
}
