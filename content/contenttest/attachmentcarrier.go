package contenttest

import (
	"dist.example/content"
	"dist.example/oci"
)

// writeSigned writes img, and gives sig the tag of its signature, which has been that
// of old. To keep attachments is no must.
func (c *carrier) writeSigned(img, sig sample, old oci.Digest) {
	c.Helper()
	t := c.target(c.path)
	to, ok := t.(content.Attacher)
	if !ok {
		c.Skip("it keeps no attachments")
	}
	subject, root := img.root().Digest, sig.blobs[len(sig.blobs)-1]
	c.push(t, img.blobs...)
	c.attached(to, subject, old)
	c.push(t, sig.blobs...)
	c.must(to.Attach(c.Context(), subject, oci.SuffixSignature, root.desc, root.data, old))
	c.attached(to, subject, root.desc.Digest)
	c.must(t.Finish(c.Context(), img.root(), c.name("docker.io/library/demo:v1")))
	c.must(t.Close())
}

// attached checks what has the tag of a signature of subject, "" for nothing.
func (c *carrier) attached(to content.Attacher, subject, want oci.Digest) {
	c.Helper()
	desc, data, err := to.Attached(c.Context(), subject, oci.SuffixSignature)
	if want == "" {
		c.want(content.ErrNotFound, err)
		return
	}
	c.must(err)
	if desc.Digest != want || oci.DigestBytes(data) != want {
		c.Errorf("Attached gives %s with the bytes of %s, want %s", desc.Digest, oci.DigestBytes(data), want)
	}
}

// hasAttachment checks that sig is what is about subject, none where it is empty.
func (c *carrier) hasAttachment(src content.ImageSource, subject oci.Digest, sig sample) {
	c.Helper()
	lister, ok := src.(content.AttachmentLister)
	if !ok {
		c.Skip("it lists no attachments")
	}
	n := 0
	for a, err := range lister.Attachments(c.Context(), subject) {
		c.must(err)
		if n++; len(sig.blobs) == 0 || a.Suffix != oci.SuffixSignature || a.Digest != sig.root().Digest || a.Size != sig.root().Size {
			c.Errorf("%s %s is listed", a.Suffix, a.Digest)
		}
	}
	if n != min(1, len(sig.blobs)) {
		c.Errorf("%d attachments are listed", n)
	}
}
