package layer

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Flatten puts one layer in the place of an image's layers from index from on: the
// manifest's list and the diff_ids become shorter, everything else in both documents
// stays, fields that are not known here too. In the history all steps stay; those that
// made the layers that are gone have made none now (empty_layer), and one step more
// has made the new one. That is what docker build --squash writes. A history that is
// not in step with the layers stays as it is, unless all layers go. The types of
// layers and epoch are as in Append, and so are the errors.
func Flatten(b Base, from int, l LayerInfo, epoch time.Time) (config, manifest []byte, configDesc, manifestDesc oci.Descriptor, err error) {
	fail := func(err error) ([]byte, []byte, oci.Descriptor, oci.Descriptor, error) {
		return nil, nil, oci.Descriptor{}, oci.Descriptor{}, fmt.Errorf("flatten image: %w", err)
	}
	m, doc, layers, err := b.parse([]LayerInfo{l})
	if err != nil {
		return fail(err)
	}
	if from < 0 || from >= len(m.Layers) {
		return fail(fmt.Errorf("%w: there is no layer %d of %d", content.ErrInvalid, from+1, len(m.Layers)))
	}
	if err := doc.flatten(from, layers[0], epoch); err != nil {
		return fail(err)
	}
	if config, manifest, configDesc, manifestDesc, err = b.renew(m, doc.Document, from, layers); err != nil {
		return fail(err)
	}
	return config, manifest, configDesc, manifestDesc, nil
}

// flatten puts l in the place of the layers from index from on.
func (d *configDocument) flatten(from int, l LayerInfo, epoch time.Time) error {
	if err := d.flattenHistory(from, l, epoch); err != nil {
		return err
	}
	if err := d.rootfs.Set("diff_ids", append(slices.Clone(d.diffIDs[:from]), l.DiffID)); err != nil {
		return err
	}
	return d.Set("rootfs", d.rootfs)
}

func (d *configDocument) flattenHistory(from int, l LayerInfo, epoch time.Time) error {
	var history []json.RawMessage
	if _, err := d.Get("history", &history); err != nil {
		return err
	}
	if len(history) == 0 || from > 0 && d.steps != len(d.diffIDs) {
		return nil
	}
	var steps []*oci.Document
	made := 0 // layers, by the steps so far
	for _, raw := range history {
		step, err := oci.ParseDocument(raw, "empty_layer")
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		var empty bool
		if _, err := step.Get("empty_layer", &empty); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		if !empty && made >= from {
			if err := step.Set("empty_layer", true); err != nil {
				return err
			}
		}
		if !empty {
			made++
		}
		steps = append(steps, step)
	}
	if err := d.Set("history", steps); err != nil {
		return err
	}
	created := instant(epoch)
	return oci.AppendTo(d.Document, "history", []oci.History{{Created: &created, CreatedBy: l.CreatedBy}})
}
