package client

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// What a chart is held to while its Chart.yaml is looked for. Helm's own bounds are
// of this order.
const (
	maxChartSize    = 100 << 20 // bytes of its tar
	maxChartEntries = 1 << 16
	maxChartFile    = 1 << 20 // bytes of Chart.yaml
)

// chartConfig makes and stores the configuration of an artifact that is a chart of
// Helm's, nil for any other, and adds the annotations that Helm gives a chart. It
// tells what Chart.yaml does; nobody needs it to install the chart.
func (p *packing) chartConfig(ctx context.Context, layers []oci.Descriptor, notes map[string]string) (*oci.Descriptor, error) {
	var chart *oci.Descriptor
	for i, l := range layers {
		if l.MediaType != oci.MediaTypeChart {
			continue
		}
		if chart != nil {
			return nil, chartHint(fmt.Errorf("%w: there are two charts in it", content.ErrInvalid))
		}
		chart = &layers[i]
	}
	if chart == nil {
		return nil, nil
	}
	// What does not fit a pack can be read once it is committed.
	if err := p.ses.Flush(ctx); err != nil {
		return nil, err
	}
	r, err := p.ses.Fetch(ctx, *chart)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	meta, err := readChart(content.UntilDone(ctx, r))
	if err != nil {
		return nil, chartHint(fmt.Errorf("chart %s: %w", chart.Digest, err))
	}
	notes[oci.AnnotationTitle], notes[oci.AnnotationVersion] = meta.Name, meta.Version
	data, desc, err := oci.Encode(oci.MediaTypeChartConfig, meta)
	if err != nil {
		return nil, err
	}
	return &desc, p.store(ctx, desc, data)
}

func chartHint(err error) error {
	return content.WithHint(err, "give the configuration, Chart.yaml as JSON: config=FILE:helm-config")
}

// readChart finds Chart.yaml in an archive, in the one folder that all of a chart
// stands in, and reads it.
func readChart(r io.Reader) (chartMeta, error) {
	packed := bufio.NewReaderSize(r, 64<<10)
	head, err := packed.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return chartMeta{}, err
	}
	if layer.Detect(head) != layer.Gzip {
		return chartMeta{}, fmt.Errorf("%w: it is no tar in gzip", content.ErrInvalid)
	}
	plain, err := layer.Decompress(packed, layer.Gzip)
	if err != nil {
		return chartMeta{}, err
	}
	defer plain.Close()
	tr := tar.NewReader(io.LimitReader(plain, maxChartSize))
	for range maxChartEntries {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return chartMeta{}, fmt.Errorf("%w: no NAME/Chart.yaml in it", content.ErrInvalid)
		case errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF):
			return chartMeta{}, fmt.Errorf("%w: %w", content.ErrInvalid, err)
		case err != nil:
			return chartMeta{}, err
		}
		name := path.Clean(h.Name)
		if path.Base(name) != "Chart.yaml" || strings.Count(name, "/") != 1 || h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(tr, maxChartFile+1))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%s: %w: %w", name, content.ErrInvalid, err)
		}
		if err != nil {
			return chartMeta{}, err
		}
		if len(data) > maxChartFile {
			return chartMeta{}, fmt.Errorf("%s: %w: more than %d bytes", name, content.ErrUnsupported, maxChartFile)
		}
		meta, err := parseChart(data)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return meta, err
	}
	return chartMeta{}, fmt.Errorf("%w: no NAME/Chart.yaml among the first %d entries", content.ErrInvalid, maxChartEntries)
}
