package contenttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// TransportSuite is a transport under test.
type TransportSuite struct {
	// Open returns the transport and a path at which nothing is yet. A place is a
	// path, or "path:NAME".
	Open func(t *testing.T) (tr content.Transport, path string)
	// Several says that a place keeps what it has when another image is written to
	// it.
	Several bool
}

// Transport runs every promise of content.Transport, each at a fresh path.
func Transport(t *testing.T, suite TransportSuite) {
	for _, p := range transportPromises {
		t.Run(p.name, func(t *testing.T) {
			if p.several && !suite.Several {
				t.Skip("a place holds one image")
			}
			tr, path := suite.Open(t)
			p.check(&carrier{T: t, Transport: tr, path: path})
		})
	}
}

type transportPromise struct {
	name    string
	several bool // asks for a place with several images
	check   func(c *carrier)
}

var transportPromises = []transportPromise{
	{name: "WhatWasWrittenIsRead", check: func(c *carrier) {
		img, name := sampleImage(1), c.name("docker.io/library/demo:v1")
		c.write(c.path, img, name)
		src, got := c.reads(c.path, img)
		if got != name {
			c.Errorf("the name is %s, want %s", got, name)
		}
		for _, b := range img.blobs {
			c.fetches(src, b.desc, b.data)
		}
	}},
	{name: "TheLocatorsNameWins", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path+":v7", img, c.name("quay.io/a/b:v1"))
		_, got := c.reads(c.path+":v7", img)
		if want := c.name("quay.io/a/b:v7"); got != want {
			c.Errorf("the name is %s, want %s", got, want)
		}
		_, err := c.find(c.path + ":v1")
		c.want(content.ErrNotFound, err)
	}},
	{name: "ANameIsNoMust", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path, img, oci.Reference{})
		if _, got := c.reads(c.path, img); got != (oci.Reference{}) {
			c.Errorf("the name is %s, want none", got)
		}
	}},
	{name: "NothingIsOfferedBeforeFinish", check: func(c *carrier) {
		img := sampleImage(1)
		t := c.target(c.path)
		c.push(t, img.blobs...)
		_, err := c.find(c.path)
		c.want(content.ErrNotFound, err)
		c.must(t.Finish(c.Context(), img.root(), oci.Reference{}))
		c.must(t.Close())
		c.reads(c.path, img)
	}},
	{name: "CloseWithoutFinishLeavesWhatWasThere", check: func(c *carrier) {
		old, img := sampleImage(1), sampleImage(2)
		c.write(c.path, old, c.name("docker.io/library/demo:v1"))
		t := c.target(c.path)
		c.push(t, img.blobs...)
		c.must(t.Close())
		c.must(t.Close())
		src, _ := c.reads(c.path, old)
		for _, b := range old.blobs {
			c.fetches(src, b.desc, b.data)
		}
	}},
	{name: "AnImageIsReplacedByItsName", check: func(c *carrier) {
		name := c.name("docker.io/library/demo:v1")
		c.write(c.path, sampleImage(1), name)
		img := sampleImage(2)
		c.write(c.path, img, name)
		c.reads(c.path, img)
	}},
	{name: "AFlippedByteIsCorrupt", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path, img, oci.Reference{})
		layer := img.blobs[1]
		c.flip(layer.data)
		src := c.source(c.path)
		rc, err := src.Fetch(c.Context(), layer.desc)
		if err == nil {
			_, err = io.Copy(io.Discard, rc)
			_ = rc.Close()
		}
		c.want(content.ErrCorrupt, err)
	}},
	{name: "AFalseSizeIsCorrupt", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path, img, oci.Reference{})
		src := c.source(c.path)
		for _, by := range []int64{-1, 1} {
			desc := img.blobs[1].desc
			desc.Size += by
			rc, err := src.Fetch(c.Context(), desc)
			if err == nil {
				_, err = io.Copy(io.Discard, rc)
				_ = rc.Close()
			}
			c.want(content.ErrCorrupt, err)
		}
	}},
	{name: "WhatIsNotThereIsNotFound", check: func(c *carrier) {
		_, err := c.find(c.path)
		c.want(content.ErrNotFound, err)
		img := sampleImage(1)
		c.write(c.path, img, c.name("docker.io/library/demo:v1"))
		_, err = c.find(c.path + ":none")
		c.want(content.ErrNotFound, err)
		rc, err := c.source(c.path).Fetch(c.Context(), absent(octets, 1))
		if err == nil {
			_, err = io.Copy(io.Discard, rc)
		}
		c.want(content.ErrNotFound, err)
	}},
	{name: "ADigestThatIsNoneIsInvalid", check: func(c *carrier) {
		c.write(c.path, sampleImage(1), oci.Reference{})
		src, t := c.source(c.path), c.target(c.path)
		for _, d := range []oci.Digest{"", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:../../../etc/passwd", "sha256:ABC"} {
			desc := oci.Descriptor{MediaType: octets, Digest: d, Size: 1}
			_, err := src.Fetch(c.Context(), desc)
			c.want(content.ErrInvalid, err)
			c.want(content.ErrInvalid, t.Push(c.Context(), desc, strings.NewReader("x")))
		}
	}},
	{name: "PushVerifies", check: func(c *carrier) {
		t := c.target(c.path)
		for i, n := range []int{100, 3 << 20} {
			data := noise(uint64(i), n)
			desc := descriptor(octets, data)
			for _, wrong := range [][]byte{data[:n-1], append(slices.Clone(data), 1), noise(99, n)} {
				c.want(content.ErrCorrupt, t.Push(c.Context(), desc, bytes.NewReader(wrong)))
			}
			here, err := t.Exists(c.Context(), desc)
			c.must(err)
			if here {
				c.Fatalf("what was refused exists")
			}
		}
		img := sampleImage(1)
		c.push(t, img.blobs...)
		c.must(t.Finish(c.Context(), img.root(), oci.Reference{}))
		c.must(t.Close())
		src, _ := c.reads(c.path, img)
		for _, b := range img.blobs {
			c.fetches(src, b.desc, b.data)
		}
	}},
	{name: "AFailingReaderLeavesNothing", check: func(c *carrier) {
		t, img := c.target(c.path), sampleImage(1)
		boom := errors.New("boom")
		layer := img.blobs[1]
		err := t.Push(c.Context(), layer.desc, io.MultiReader(bytes.NewReader(layer.data[:len(layer.data)/2]), failing{boom}))
		if !errors.Is(err, boom) {
			c.Fatalf("got %v, want the reader's own error", err)
		}
		c.push(t, img.blobs...)
		c.must(t.Finish(c.Context(), img.root(), oci.Reference{}))
		c.must(t.Close())
		src, _ := c.reads(c.path, img)
		c.fetches(src, layer.desc, layer.data)
	}},
	{name: "PushingWhatIsThereIsNoError", check: func(c *carrier) {
		t, img := c.target(c.path), sampleImage(1)
		for range 2 {
			c.push(t, img.blobs...)
		}
		for _, b := range img.blobs {
			here, err := t.Exists(c.Context(), b.desc)
			c.must(err)
			if !here {
				c.Errorf("%s does not exist", b.desc.Digest)
			}
		}
		c.must(t.Finish(c.Context(), img.root(), oci.Reference{}))
		c.must(t.Close())
		c.reads(c.path, img)
	}},
	{name: "ManyPushAtOnce", check: func(c *carrier) {
		t, img := c.target(c.path), sampleImage(1)
		errs := make(chan error)
		for range workers {
			go func() {
				for _, b := range img.blobs {
					if err := t.Push(c.Context(), b.desc, bytes.NewReader(b.data)); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range workers {
			if err := <-errs; err != nil {
				c.Error(err)
			}
		}
		c.must(t.Finish(c.Context(), img.root(), oci.Reference{}))
		c.must(t.Close())
		src, _ := c.reads(c.path, img)
		for _, b := range img.blobs {
			c.fetches(src, b.desc, b.data)
		}
	}},
	{name: "ManyReadAtOnce", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path, img, oci.Reference{})
		src := c.source(c.path)
		errs := make(chan error)
		for range workers {
			go func() { errs <- readEach(c, src, img.blobs) }()
		}
		for range workers {
			if err := <-errs; err != nil {
				c.Error(err)
			}
		}
	}},
	{name: "FinishDemandsAllThatIsReached", check: func(c *carrier) {
		t, img := c.target(c.path), sampleImage(1)
		c.push(t, img.blobs[0], img.blobs[len(img.blobs)-1])
		c.want(content.ErrNotFound, t.Finish(c.Context(), img.root(), oci.Reference{}))
		c.must(t.Close())
		_, err := c.find(c.path)
		c.want(content.ErrNotFound, err)
	}},
	{name: "ABlobCanBeReadFromTheMiddle", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path, img, oci.Reference{})
		src, ok := c.source(c.path).(content.RangeFetcher)
		if !ok {
			c.Skip("it starts at the beginning only")
		}
		layer := img.blobs[1]
		for _, off := range []int64{0, 1, 777, layer.desc.Size - 1, layer.desc.Size} {
			rc, err := src.FetchFrom(c.Context(), layer.desc, off)
			c.must(err)
			got, err := io.ReadAll(rc)
			c.must(err)
			c.must(rc.Close())
			if !bytes.Equal(got, layer.data[off:]) {
				c.Errorf("from byte %d come other bytes", off)
			}
		}
	}},
	{name: "AReaderCanBeLeftEarly", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path, img, oci.Reference{})
		src := c.source(c.path)
		for range 3 {
			rc, err := src.Fetch(c.Context(), img.blobs[2].desc)
			c.must(err)
			_, err = io.ReadFull(rc, make([]byte, 10))
			c.must(err)
			c.must(rc.Close())
		}
		c.fetches(src, img.blobs[1].desc, img.blobs[1].data)
	}},
	{name: "SeveralImagesNeedASelector", several: true, check: func(c *carrier) {
		imgs := map[string]sample{}
		for i, n := range []string{"docker.io/library/a:v1", "docker.io/library/a:v2", "quay.io/x/b:v3"} {
			imgs[n] = sampleImage(uint64(i))
			c.write(c.path, imgs[n], c.name(n))
		}
		_, err := c.find(c.path)
		c.want(content.ErrInvalid, err)
		for n, img := range imgs {
			if !strings.Contains(content.Hint(err), n) {
				c.Errorf("the hint %q does not tell of %s", content.Hint(err), n)
			}
			c.reads(c.path+":"+n, img)
			c.reads(c.path+":"+c.name(n).Tag, img)
		}
	}},
	{name: "ManyFinishAtOnce", several: true, check: func(c *carrier) {
		const many = 16
		errs := make(chan error)
		for i := range many {
			go func() {
				errs <- c.tryWrite(c.path, sampleImage(uint64(i)), c.name(fmt.Sprint("docker.io/library/x:v", i)))
			}()
		}
		for range many {
			if err := <-errs; err != nil {
				c.Error(err)
			}
		}
		for i := range many {
			c.reads(fmt.Sprint(c.path, ":v", i), sampleImage(uint64(i)))
		}
	}},
	{name: "ReferrersComeAlong", check: func(c *carrier) {
		img := sampleImage(1)
		about := img.artifact("a note")
		t := c.target(c.path)
		c.push(t, img.blobs...)
		c.push(t, about...)
		c.must(t.Finish(c.Context(), img.root(), c.name("docker.io/library/demo:v1")))
		c.must(t.Close())
		src, _ := c.reads(c.path, img)
		lister, ok := src.(content.ReferrerLister)
		if !ok {
			c.Skip("it lists no referrers")
		}
		want := about[len(about)-1].desc
		for _, artifactType := range []string{"", sbomType, signatureType} {
			var got []oci.Descriptor
			for d, err := range lister.Referrers(c.Context(), img.root().Digest, artifactType) {
				c.must(err)
				got = append(got, d)
			}
			if artifactType == signatureType {
				if len(got) != 0 {
					c.Errorf("of another type come %+v", got)
				}
				continue
			}
			if len(got) != 1 || got[0].Digest != want.Digest || got[0].ArtifactType != sbomType || got[0].Annotations["note"] != "a note" {
				c.Errorf("of type %q come %+v, want %s", artifactType, got, want.Digest)
			}
		}
	}},
	{name: "AttachmentsComeAlong", check: func(c *carrier) {
		img, sig := sampleImage(1), sampleImage(2)
		c.writeSigned(img, sig, "")
		src, _ := c.reads(c.path, img)
		c.hasAttachment(src, img.root().Digest, sig)
		c.hasAttachment(src, sig.root().Digest, sample{})
		for _, b := range sig.blobs {
			c.fetches(src, b.desc, b.data)
		}
	}},
	{name: "AnAttachmentsTagMoves", several: true, check: func(c *carrier) {
		img, first, second := sampleImage(1), sampleImage(2), sampleImage(3)
		c.writeSigned(img, first, "")
		c.writeSigned(img, second, first.root().Digest)
		src, _ := c.reads(c.path, img)
		c.hasAttachment(src, img.root().Digest, second)
	}},
	{name: "AnAttachmentWithoutATagIsUnsupported", check: func(c *carrier) {
		t := c.target(c.path)
		to, ok := t.(content.Attacher)
		if !ok {
			c.Skip("it keeps no attachments")
		}
		img := sampleImage(1)
		c.push(t, img.blobs...)
		_, _, err := to.Attached(c.Context(), absentSHA512, oci.SuffixSignature)
		c.want(content.ErrUnsupported, err)
		root := img.blobs[len(img.blobs)-1]
		c.want(content.ErrUnsupported, to.Attach(c.Context(), absentSHA512, oci.SuffixSignature, root.desc, root.data, ""))
	}},
	{name: "AContextThatIsOverEndsTheWork", check: func(c *carrier) {
		img := sampleImage(1)
		c.write(c.path, img, oci.Reference{})
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		if src, err := c.Transport.Source(ctx, c.path); err == nil {
			defer src.Close()
			if _, _, err := src.Image(ctx); err == nil {
				c.Error("Image succeeds")
			}
		}
		if t, err := c.Transport.Target(ctx, c.path); err == nil {
			defer t.Close()
			if err := t.Push(ctx, img.blobs[1].desc, bytes.NewReader(img.blobs[1].data)); err == nil {
				c.Error("Push succeeds")
			}
		}
	}},
}
