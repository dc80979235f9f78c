package conformance

import (
	"net/http"

	"dist.example/oci"
)

func contentChecks() []check {
	return []check{
		{"absent-subject", absentSubject},
		{"absent-platform", absentPlatform},
		{"non-distributable", nonDistributable},
		{"no-layers", func(t *tester) { m := t.image("one"); m.Layers = []oci.Descriptor{}; t.takes(m, oci.MediaTypeManifest) }},
		{"empty-index", func(t *tester) { t.takes(indexOf(), oci.MediaTypeIndex) }},
		{"nested-index", nestedIndex},
		{"no-media-type", func(t *tester) { m := t.image("one"); m.MediaType = ""; t.takes(m, oci.MediaTypeManifest) }},
		{"unknown-types", unknownTypes},
		{"unknown-fields", unknownFields},
		{"unknown-child-type", unknownChildType},
		{"layer-types", layerTypes},
		{"data-field", dataField},
	}
}

// takes pushes v by tag and asks for the same bytes back.
func (t *tester) takes(v any, mediaType string) {
	t.Helper()
	data := t.json(v)
	t.created(t.put("v1", mediaType, data), data, oci.DigestBytes(data))
}

func absentSubject(t *tester) {
	m, subject := t.image("one"), t.absent(oci.MediaTypeManifest)
	m.Subject = &subject
	a := t.want(t.put("v1", oci.MediaTypeManifest, t.json(m)), http.StatusCreated)
	t.wantHeader(a, "OCI-Subject", subject.Digest.String())
	// What has none is answered without.
	t.wantHeader(t.put("v2", oci.MediaTypeManifest, t.json(t.image("two"))), "OCI-Subject", "")
}

func absentPlatform(t *tester) {
	t.takes(indexOf(t.push(t.image("one"), oci.MediaTypeManifest), t.absent(oci.MediaTypeManifest)), oci.MediaTypeIndex)
}

func nonDistributable(t *tester) {
	m := t.image("one")
	for _, mediaType := range []string{
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	} {
		layer := t.absent(mediaType)
		layer.URLs = []string{"https://example.com/layer"}
		m.Layers = append(m.Layers, layer)
	}
	t.takes(m, oci.MediaTypeManifest)
}

func nestedIndex(t *tester) {
	inner := t.push(indexOf(t.push(t.image("one"), oci.MediaTypeManifest)), oci.MediaTypeIndex)
	t.takes(indexOf(inner), oci.MediaTypeIndex)
}

// Types of artifacts, configs and layers are their owners' affair, and annotations
// may have any key.
func unknownTypes(t *tester) {
	m := t.image("one")
	m.ArtifactType = "application/vnd.example.thing"
	m.Config.MediaType, m.Layers[0].MediaType = "application/vnd.example.config+json", "text/vnd.example"
	m.Annotations = map[string]string{"com.example.key": "", "a key": "<&>"}
	t.takes(m, oci.MediaTypeManifest)
}

func unknownFields(t *tester) {
	m := t.image("one")
	t.takes(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeManifest, "com.example.more": map[string]any{"layers": 7},
		"config": m.Config, "layers": m.Layers,
	}, oci.MediaTypeManifest)
	t.takes(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "com.example.more": []int{1}, "manifests": []any{},
	}, oci.MediaTypeIndex)
}

func unknownChildType(t *tester) {
	t.takes(indexOf(t.absent("application/vnd.example.manifest.v9+json")), oci.MediaTypeIndex)
}

func layerTypes(t *tester) {
	m := t.image("one")
	for _, mediaType := range []string{oci.MediaTypeLayer, oci.MediaTypeLayerGzip, oci.MediaTypeLayerZstd, oci.MediaTypeDockerLayer} {
		m.Layers = append(m.Layers, t.blob(mediaType, t.own(mediaType)))
	}
	t.takes(m, oci.MediaTypeManifest)
}

// What a descriptor carries inline stays, and nothing is put in where nothing was.
func dataField(t *tester) {
	data := t.own("config")
	m := t.image("one")
	m.Config = t.blob(oci.MediaTypeImageConfig, data)
	m.Config.Data = data
	t.takes(m, oci.MediaTypeManifest)
}
