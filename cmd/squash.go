package cmd

import (
	"fmt"

	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
)

// squashCmd is `dist squash`.
type squashCmd struct {
	quietFlag
	Name     string   `arg:"" complete:"name" help:"Name of the image; with --as any id."`
	As       string   `placeholder:"NAME" complete:"name" help:"Name that the squashed image gets. Without it, it takes the place of the old one."`
	Last     *int     `xor:"layers" placeholder:"N" help:"Squash the N uppermost layers; those below stay as they are."`
	From     *int     `xor:"layers" placeholder:"N" help:"Squash layer N, counted from 1, and all above it."`
	Compress string   `enum:"gzip,zstd,none" default:"gzip" placeholder:"HOW" help:"How the new layer is compressed: gzip (the default), zstd or none."`
	Platform platform `placeholder:"OS/ARCH" help:"Of an index, squash the image for this platform."`
	requireKeyFlag
}

// Help is the longer text of `dist squash --help`.
func (squashCmd) Help() string {
	return `Makes one layer of all layers of an image, or of the uppermost ones. What an upper layer deletes or replaces is gone from the new one, and so is the room that it took; a container sees the same files as before. Whiteouts and opaque folders stay where they concern layers below. Owners, modes, times and extended attributes are kept, and hard links stay links.

All layers are read, and refused if they are not what the configuration says (exit 4). The same image always gives the same one: files stand in the new layer in the order of the layers that they come from.

The configuration and the manifest stay as they are but for the list of layers. In the history the steps of the old layers stay, as such that have made no layer, and one more is that of squashing, as "docker build --squash" does it. Signatures are of the old image; the new one is signed as pack signs what it makes.

An index is refused without --platform (exit 2). With it, NAME stands for the one squashed image, unless --as gives another name.

Examples:

    $ dist squash demo/app:v1
    $ dist squash demo/app:v1 --as demo/app:small --compress zstd
    $ dist squash --last 3 demo/app:v2
    $ dist squash --platform linux/arm64 redis:7 --as demo/redis:7-arm64`
}

type squashJSON struct {
	Name      string     `json:"name"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
	Was       oci.Digest `json:"was"`
	Config    oci.Digest `json:"config"`
	Layers    []partJSON `json:"layers"`
	Gone      []partJSON `json:"gone"`
	// Signed is null when no key signed it.
	Signed *signedJSON `json:"signed"`
}

// Run squashes and prints the new digest.
func (c *squashCmd) Run(s *session) error {
	compression, err := layer.ParseCompression(c.Compress)
	if err != nil {
		return err
	}
	last, err := layerCount("--last", c.Last)
	if err != nil {
		return err
	}
	from, err := layerCount("--from", c.From)
	if err != nil {
		return err
	}
	epoch, err := layer.ParseEpoch(s.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	squashed, err := dist.Squash(s.ctx, c.Name, client.SquashOptions{
		As: c.As, Last: last, From: from, Compression: compression, Platform: c.Platform.Platform, Epoch: epoch,
		Sign: c.options(s), RequireKey: c.RequireKey,
	})
	s.progress.stop()
	if err != nil {
		return about(c.Name, err)
	}
	if err := s.identified(c.quietFlag, squashed.Descriptor.Digest.String(), newSquashJSON(squashed)); err != nil || c.Quiet {
		return err
	}
	if len(squashed.Gone) > 0 || c.As != "" {
		s.unsigned("squash "+c.Name, squashed.Signed)
	}
	s.progress.closing(squashAccount(squashed))
	return nil
}

// layerCount is the number of a flag, 0 where it was not given.
func layerCount(flag string, given *int) (int, error) {
	switch {
	case given == nil:
		return 0, nil
	case *given < 1:
		return 0, usagef("%s %d: want 1 or more", flag, *given)
	}
	return *given, nil
}

func newSquashJSON(q client.Squashed) squashJSON {
	j := squashJSON{
		Name: q.Name.String(), Digest: q.Descriptor.Digest, MediaType: q.Descriptor.MediaType, Size: q.Descriptor.Size,
		Was: q.Was.Digest, Config: q.Config.Digest, Layers: []partJSON{}, Gone: []partJSON{},
		Signed: newSignedPart(q.Signed),
	}
	for _, l := range q.Layers {
		j.Layers = append(j.Layers, newPartJSON(client.Part{Descriptor: l.Descriptor, Role: oci.RoleLayer, Held: true}))
	}
	for _, l := range q.Gone {
		j.Gone = append(j.Gone, newPartJSON(client.Part{Descriptor: l, Role: oci.RoleLayer, Held: true}))
	}
	return j
}

// squashAccount is the closing line.
func squashAccount(q client.Squashed) string {
	if len(q.Gone) == 0 {
		return fmt.Sprintf("%s: there is one layer to squash: the image stays as it is", q.Name)
	}
	var before int64
	for _, l := range q.Gone {
		before += l.Size
	}
	return fmt.Sprintf("%s: %s of %s became one of %s", q.Name, plural(int64(len(q.Gone)), "layer"),
		oci.HumanSize(before), oci.HumanSize(q.Layers[len(q.Layers)-1].Descriptor.Size))
}
