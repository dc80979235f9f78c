package testscripts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dist.example/oci"
	"dist.example/registryserver/registrytest"
	"golang.org/x/sync/errgroup"
)

// load is a kind of request, asked again and again.
type load struct {
	name, what string
	conns      []int
	requests   int   // in a round, by four connections or more; a single one asks a quarter of them
	size       int64 // of what each moves, 0 where that does not matter
	prepare    func(c *loader, l load) error
	// ready makes what a round needs, before the time counts.
	ready func(c *loader, l load, round int)
	one   func(c *loader, l load, i int) error
}

var loads = []load{
	{name: "get-64k", what: "GET of a blob of 64 KiB", conns: []int{1, 16}, requests: 2000, size: 64 << 10, prepare: oneBlob, one: getBlob},
	{name: "get-4m", what: "GET of a blob of 4 MiB", conns: []int{1, 16}, requests: 240, size: 4 << 20, prepare: oneBlob, one: getBlob},
	{name: "get-256m", what: "GET of a blob of 256 MiB", conns: []int{1, 16}, requests: 8, size: 256 << 20, prepare: oneBlob, one: getBlob},
	{name: "head-blob", what: "HEAD of a blob that is there", conns: []int{1, 16}, requests: 4000, prepare: manyBlobs, one: headBlob},
	{name: "head-absent", what: "HEAD of a blob that is not", conns: []int{16}, requests: 4000, prepare: manyBlobs, one: headAbsent},
	{name: "manifest-tag", what: "GET of a manifest by tag", conns: []int{1, 16}, requests: 4000, prepare: oneImage, one: getManifestBy(":")},
	{name: "manifest-digest", what: "GET of a manifest by digest", conns: []int{1, 16}, requests: 4000, prepare: oneImage, one: getManifestBy("@")},
	{name: "tags-1000", what: "list of 1000 tags", conns: []int{1, 16}, requests: 200, prepare: thousandTags, one: listTags},
	{name: "put-4k", what: "POST and PUT of a blob of 4 KiB", conns: []int{1, 16}, requests: 1000, size: 4 << 10, ready: newBlobs, one: putBlob},
	{name: "put-1m", what: "POST and PUT of a blob of 1 MiB", conns: []int{1, 16}, requests: 200, size: 1 << 20, ready: newBlobs, one: putBlob},
	{name: "put-256m", what: "POST and PUT of a blob of 256 MiB", conns: []int{1, 4}, requests: 4, size: 256 << 20, ready: newBlobs, one: putBlob},
	{name: "patch-4k", what: "POST, PATCH and PUT of a blob of 4 KiB", conns: []int{1, 16}, requests: 1000, size: 4 << 10, ready: newBlobs, one: patchBlob},
	{name: "patch-1m", what: "POST, PATCH and PUT of a blob of 1 MiB", conns: []int{1, 16}, requests: 200, size: 1 << 20, ready: newBlobs, one: patchBlob},
	{name: "patch-256m", what: "POST, PATCH and PUT of a blob of 256 MiB", conns: []int{1, 4}, requests: 4, size: 256 << 20, ready: newBlobs, one: patchBlob},
}

// loader asks one server.
type loader struct {
	s     server
	http  *http.Client
	conns int

	base    []byte       // what blobs are made of
	digests []oci.Digest // of blobs, or of one manifest
	prefix  []uint64     // by which each blob differs from base
}

func newLoader(s server, conns int) *loader {
	tr := &http.Transport{
		DialContext: new(net.Dialer).DialContext, MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns,
		DisableCompression: true, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
	}
	return &loader{s: s, http: &http.Client{Transport: tr}, conns: conns}
}

func (c *loader) close() { c.http.CloseIdleConnections() }

// round asks l's requests, as many at once as there are connections.
func (c *loader) round(l load, round int) (figure, error) {
	if l.ready != nil {
		l.ready(c, l, round)
	}
	settle()
	before, begun := used(c.s.pid), time.Now()
	g, ctx := errgroup.WithContext(context.Background())
	for k := range c.conns {
		g.Go(func() error {
			for i := k; i < l.requests && ctx.Err() == nil; i += c.conns {
				if err := l.one(c, l, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return figure{}, err
	}
	took := time.Since(begun).Seconds()
	peak := peakIn(filepath.Join("/proc", strconv.Itoa(c.s.pid), "status"))
	return figure{took, used(c.s.pid) - before, float64(peak) / 1024}, nil
}

// do sends one request and reads the answer, which must have the status, and the
// length unless that is -1.
func (c *loader) do(method, url string, body io.Reader, length, status int, answered int64, header ...string) (http.Header, error) {
	if !strings.HasPrefix(url, "http") {
		url = c.s.url + url
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(length)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != status:
		return nil, fmt.Errorf("%s %s: %s, want %d", method, url, resp.Status, status)
	case answered >= 0 && n != answered:
		return nil, fmt.Errorf("%s %s: %d bytes, want %d", method, url, n, answered)
	}
	return resp.Header, nil
}

const benchRepo = "/v2/bench/app/"

// newBlobs are as many blobs as there are requests, none of which was there in an
// earlier round.
func newBlobs(c *loader, l load, round int) {
	if int64(len(c.base)) != l.size {
		c.base = registrytest.Bytes(uint64(l.size), int(l.size))
	}
	c.digests, c.prefix = make([]oci.Digest, l.requests), make([]uint64, l.requests)
	for i := range c.digests {
		c.prefix[i] = uint64(round)<<32 | uint64(i)
		h := oci.SHA256.Hash()
		_, _ = io.Copy(h, c.blob(i))
		c.digests[i] = oci.NewDigest(oci.SHA256, h)
	}
}

func (c *loader) blob(i int) io.Reader {
	head := fmt.Sprintf("%016x", c.prefix[i])
	return io.MultiReader(strings.NewReader(head), bytes.NewReader(c.base[len(head):]))
}

// session begins an upload, and returns where its PUT goes.
func (c *loader) session() (string, error) {
	h, err := c.do("POST", benchRepo+"blobs/uploads/", nil, 0, 202, -1)
	return h.Get("Location"), err
}

func withDigest(location string, d oci.Digest) string {
	if strings.Contains(location, "?") {
		return location + "&digest=" + d.String()
	}
	return location + "?digest=" + d.String()
}

func putBlob(c *loader, l load, i int) error {
	location, err := c.session()
	if err == nil {
		_, err = c.do("PUT", withDigest(location, c.digests[i]), c.blob(i), int(l.size), 201, -1, "Content-Type", oci.MediaTypeOctets)
	}
	return err
}

// patchBlob pushes as docker does: all of it in one PATCH of an unknown length.
func patchBlob(c *loader, _ load, i int) error {
	location, err := c.session()
	if err != nil {
		return err
	}
	h, err := c.do("PATCH", location, c.blob(i), -1, 202, -1, "Content-Type", oci.MediaTypeOctets)
	if err == nil {
		_, err = c.do("PUT", withDigest(h.Get("Location"), c.digests[i]), nil, 0, 201, -1)
	}
	return err
}

func oneBlob(c *loader, l load) error {
	l.requests = 1
	newBlobs(c, l, 0)
	return putBlob(c, l, 0)
}

func getBlob(c *loader, l load, _ int) error {
	_, err := c.do("GET", benchRepo+"blobs/"+c.digests[0].String(), nil, 0, 200, l.size)
	return err
}

// manyBlobs are a hundred, as an image of many layers has them.
func manyBlobs(c *loader, l load) error {
	l.requests, l.size = 100, 64<<10
	newBlobs(c, l, 0)
	for i := range c.digests {
		if err := putBlob(c, l, i); err != nil {
			return err
		}
	}
	return nil
}

func headBlob(c *loader, _ load, i int) error {
	_, err := c.do("HEAD", benchRepo+"blobs/"+c.digests[i%len(c.digests)].String(), nil, 0, 200, 0)
	return err
}

func headAbsent(c *loader, _ load, i int) error {
	_, err := c.do("HEAD", benchRepo+"blobs/"+oci.DigestBytes(fmt.Append(nil, i)).String(), nil, 0, 404, 0)
	return err
}

// oneImage pushes ten layers and a manifest with the tag v1; digests has the
// manifest's afterwards.
func oneImage(c *loader, l load) error {
	l.requests, l.size = 11, 64<<10
	newBlobs(c, l, 0)
	m := oci.Manifest{MediaType: oci.MediaTypeManifest}
	m.SchemaVersion = 2
	for i, d := range c.digests {
		if err := putBlob(c, l, i); err != nil {
			return err
		}
		desc := oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: d, Size: l.size}
		if i == 0 {
			desc.MediaType = oci.MediaTypeImageConfig
			m.Config = desc
		} else {
			m.Layers = append(m.Layers, desc)
		}
	}
	p, err := json.Marshal(m)
	if err == nil {
		err = c.putManifest("v1", p)
	}
	c.digests = []oci.Digest{oci.DigestBytes(p)}
	return err
}

func (c *loader) putManifest(tag string, p []byte) error {
	_, err := c.do("PUT", benchRepo+"manifests/"+tag, bytes.NewReader(p), len(p), 201, -1, "Content-Type", oci.MediaTypeManifest)
	return err
}

func getManifestBy(sep string) func(*loader, load, int) error {
	return func(c *loader, _ load, _ int) error {
		reference := "v1"
		if sep == "@" {
			reference = c.digests[0].String()
		}
		_, err := c.do("GET", benchRepo+"manifests/"+reference, nil, 0, 200, -1, "Accept", oci.MediaTypeManifest)
		return err
	}
}

func thousandTags(c *loader, l load) error {
	if err := oneImage(c, l); err != nil {
		return err
	}
	l.size, l.requests = 100, 1
	newBlobs(c, l, 0)
	if err := putBlob(c, l, 0); err != nil {
		return err
	}
	config := oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: c.digests[0], Size: l.size}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: config, Layers: []oci.Descriptor{}}
	m.SchemaVersion = 2
	p, err := json.Marshal(m)
	for i := 0; i < 1000 && err == nil; i++ {
		err = c.putManifest(fmt.Sprintf("tag-%d", i), p)
	}
	return err
}

func listTags(c *loader, _ load, _ int) error {
	_, err := c.do("GET", benchRepo+"tags/list", nil, 0, 200, -1)
	return err
}
