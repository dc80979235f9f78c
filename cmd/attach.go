package cmd

import (
	"time"

	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
)

// attachCmd is `dist attach`.
type attachCmd struct {
	Type       string   `short:"t" placeholder:"TYPE" required:"" complete:"words:sbom,spdx,cyclonedx" help:"What it is: a media type, or spdx, cyclonedx, or sbom, which is what the file says of itself of those two."`
	Annotation []string `sep:"none" placeholder:"KEY=VALUE" complete:"none" help:"Annotation of what is attached. ${repeat}"`
	Platform   platform `placeholder:"OS/ARCH" help:"Of an index, attach to the image for this platform."`
	quietFlag
	networkFlags
	ID   string   `arg:"" name:"id" complete:"id" help:"What it is about: ${id}; or docker://REFERENCE, where it is pushed to."`
	Word []string `arg:"" name:"file" complete:"file|id" help:"What is attached: PATH[:TYPE] or TITLE=PATH[:TYPE]; in the store also folders, and ID or TITLE=ID."`
}

// Help is the longer text of `dist attach --help`.
func (attachCmd) Help() string {
	return `Makes an artifact of the files, with the image as its subject, and prints its digest. Whoever asks what is about the image finds it: "dist tree", oras and others. It goes along when the image is pushed, pulled or copied.

In the store it is kept as long as the image. docker://REFERENCE pushes it to the registry that has the image; no store is needed. A registry that does not list referrers is given the index that stands in for such lists.

Files come back under their titles, as from an artifact that "dist pack" makes. The same files make the same artifact.

Examples:

    $ dist attach --type spdx demo/app:v1 sbom.spdx.json:json
    $ dist attach --type sbom docker://registry.example/team/app:v1 bom.json
    $ dist attach --type application/vnd.example.report --annotation org.example.run=7 demo/app:v1 report.html figures`
}

// attachJSON is what was attached, and to what.
type attachJSON struct {
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Artifact  string     `json:"artifactType"`
	Size      int64      `json:"size"`
	Subject   oci.Digest `json:"subject"`
	Layers    []partJSON `json:"layers"`
}

// Run attaches and prints the artifact's digest.
func (c *attachCmd) Run(s *session) error {
	notes, err := parsePairs("--annotation", c.Annotation)
	if err != nil {
		return err
	}
	epoch, err := layer.ParseEpoch(s.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	s.progress.start()
	a, err := dist.Attach(s.ctx, c.ID, c.Word, client.AttachOptions{
		Type: c.Type, Annotations: notes, Platform: c.Platform.Platform, Epoch: epoch,
	})
	s.progress.stop()
	if err != nil {
		return about(c.ID, err)
	}
	j := attachJSON{
		Digest: a.Descriptor.Digest, MediaType: a.Descriptor.MediaType, Artifact: a.Descriptor.ArtifactType,
		Size: a.Descriptor.Size, Subject: a.Subject.Digest, Layers: []partJSON{},
	}
	for _, l := range a.Layers {
		j.Layers = append(j.Layers, newPartJSON(client.Part{Descriptor: l, Role: oci.RoleLayer, Held: true}))
	}
	if err := s.identified(c.quietFlag, j.Digest.String(), j); err != nil {
		return err
	}
	if t := dist.Traffic(); t.Requests > 0 && !c.Quiet {
		s.progress.summary(account{moved: t.BytesOut, requests: t.Requests}, time.Since(start))
	}
	return nil
}
