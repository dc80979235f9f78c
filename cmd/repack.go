package cmd

import (
	"fmt"

	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
)

// repackCmd is `dist repack`.
type repackCmd struct {
	quietFlag
	Dir      string   `arg:"" type:"path" complete:"dir" help:"Folder that an image was unpacked to: a root filesystem, or a bundle."`
	Name     string   `arg:"" complete:"name" help:"Name that the new image gets, or moves to it."`
	Base     string   `placeholder:"ID" complete:"id" help:"Image that the new layer goes onto, in place of the one that was unpacked."`
	Platform platform `placeholder:"OS/ARCH" env:"DIST_PLATFORM" help:"With --base: platform to take from an index. The default is this machine's, of Linux on a Mac."`
	Compress string   `enum:"gzip,zstd,none" default:"gzip" placeholder:"HOW" help:"How the new layer is compressed: gzip (the default), zstd or none."`
	Subids   bool     `help:"For what was unpacked with --subids: work in a user namespace with your ranges."`
	requireKeyFlag
}

// Help is the longer text of `dist repack --help`.
func (repackCmd) Help() string {
	return `Makes one layer of what has changed in a folder since an image was unpacked to it, puts it on top of that image, and names the image that comes of it. What was added, changed or removed is found by type, content, mode, owner, time, links and extended attributes; files that have neither another size or time nor a change since, in folders that have not, are not read. Where nothing has changed there is no new layer, and NAME stands for the image as it was.

What was unpacked without root belongs to you; in the new layer it has the owners of the image, and what is new is root's. Devices that could not be made are not taken for removed. Nothing may write to the folder meanwhile (exit 8), and nothing be mounted in it. Sockets are left out, and holes become zeros. What was unpacked as root or with --subids is repacked so, too; who signs with --subids types the passphrase of the key.

What an image was unpacked from is noted beside the folder (.DIR.dist-unpacked.json), or in the bundle; a folder that was moved without it, or copied, needs --base. That image has to be in the store still.

"dist diff NAME ./DIR" shows what would be in the layer.

Examples:

    $ dist repack rootfs demo/app:v2
    $ dist repack --compress zstd app demo/app:v2
    $ dist repack --base debian:12 rootfs demo/debian:mine`
}

type repackJSON struct {
	Name      string     `json:"name"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
	Base      oci.Digest `json:"base"`
	Config    oci.Digest `json:"config"`
	Layers    []partJSON `json:"layers"`
	Changed   int        `json:"changed"`
	// Signed is null when no key signed it.
	Signed *signedJSON `json:"signed"`
}

// Run repacks and prints the new digest.
func (c *repackCmd) Run(s *session) error {
	compression, err := layer.ParseCompression(c.Compress)
	if err != nil {
		return err
	}
	epoch, err := layer.ParseEpoch(s.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	if c.Subids {
		if _, _, err := s.remap(); err != nil {
			return err
		}
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	out, err := dist.Repack(s.ctx, c.Dir, c.Name, client.RepackOptions{
		Base: c.Base, Platform: c.Platform.Platform, Compression: compression, Epoch: epoch,
		Sign: c.options(s), RequireKey: c.RequireKey,
	})
	s.progress.stop()
	if err != nil {
		return about(c.Name, err)
	}
	if err := s.identified(c.quietFlag, out.Descriptor.Digest.String(), newRepackJSON(out)); err != nil || c.Quiet {
		return err
	}
	if out.Changed > 0 {
		s.unsigned("repack "+c.Name, out.Signed)
	}
	s.progress.closing(repackAccount(out))
	return nil
}

func newRepackJSON(r client.Repacked) repackJSON {
	j := repackJSON{
		Name: r.Name.String(), Digest: r.Descriptor.Digest, MediaType: r.Descriptor.MediaType, Size: r.Descriptor.Size,
		Base: r.Base.Digest, Config: r.Config.Digest, Layers: []partJSON{}, Changed: r.Changed, Signed: newSignedPart(r.Signed),
	}
	for _, l := range r.Layers {
		j.Layers = append(j.Layers, newPartJSON(client.Part{Descriptor: l.Descriptor, Role: oci.RoleLayer, Held: true}))
	}
	return j
}

// repackAccount is the closing line.
func repackAccount(r client.Repacked) string {
	if r.Changed == 0 {
		return fmt.Sprintf("%s: nothing has changed: it stands for the image that was unpacked", r.Name)
	}
	return fmt.Sprintf("%s: %s in a new layer of %s", r.Name, plural(int64(r.Changed), "change"), oci.HumanSize(r.Layers[len(r.Layers)-1].Descriptor.Size))
}
