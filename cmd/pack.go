package cmd

import (
	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
)

// packCmd is `dist pack`.
type packCmd struct {
	Name        string   `arg:"" help:"Name to give the image."`
	Layer       []string `arg:"" optional:"" help:"Layers, lowest first: folders, tar files, or ids of content put before."`
	Print       bool     `short:"p" help:"Print the manifest, byte for byte, instead of its digest."`
	Type        string   `short:"t" enum:"image" default:"image" placeholder:"KIND" help:"What to make: image."`
	Compress    string   `enum:"gzip,zstd,none" default:"gzip" placeholder:"HOW" help:"How layers made of folders are compressed: gzip, zstd or none."`
	Prefix      string   `placeholder:"PATH" help:"Folder of the image that packed folders become; without it, its root."`
	FollowLinks bool     `help:"Pack what symbolic links lead to in place of the links."`
	Platform    platform `placeholder:"OS/ARCH" env:"DIST_PLATFORM" help:"Platform that the image is for. The default is this machine's."`
}

// Help is the longer text of `dist pack --help`.
func (packCmd) Help() string {
	return `The same folders make the same image, byte for byte, wherever and whenever they are packed: entries are sorted, owners are root, and times are 0, or SOURCE_DATE_EPOCH at most.

Examples:

    $ dist pack registry.example/team/app:v1 ./rootfs
    $ dist pack --prefix /usr/local/go --follow-links demo/go:v1 "$(go env GOROOT)"
    $ dist pack -p -t image demo:v1 "$(dist put -t layer content1.tar)"`
}

type packJSON struct {
	Name     string     `json:"name"`
	Digest   oci.Digest `json:"digest"`
	Size     int64      `json:"size"`
	Manifest string     `json:"manifest"`
	Config   oci.Digest `json:"config"`
	Layers   []partJSON `json:"layers"`
}

// Run makes the image and prints its digest, or the manifest.
func (c *packCmd) Run(s *session) error {
	compression, err := layer.ParseCompression(c.Compress)
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
	packed, err := dist.Pack(s.ctx, c.Name, c.Layer, client.PackOptions{
		Compression: compression, FollowLinks: c.FollowLinks, Prefix: c.Prefix,
		Platform: c.Platform.Platform, Epoch: epoch,
	})
	s.progress.stop()
	if err != nil {
		return about(c.Name, err)
	}
	if c.Print {
		_, err := s.stdout.Write(packed.Manifest)
		return err
	}
	return s.object(newPackJSON(packed), line(packed.Descriptor.Digest.String()))
}

func newPackJSON(p client.Packed) packJSON {
	j := packJSON{
		Name: p.Name.String(), Digest: p.Descriptor.Digest, Size: p.Descriptor.Size,
		Manifest: string(p.Manifest), Config: p.Config.Digest, Layers: []partJSON{},
	}
	for _, l := range p.Layers {
		j.Layers = append(j.Layers, partJSON{
			Role: oci.RoleLayer.String(), Digest: l.Descriptor.Digest, MediaType: l.Descriptor.MediaType, Size: l.Descriptor.Size, Held: true,
		})
	}
	return j
}
