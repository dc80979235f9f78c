package cmd

import (
	"fmt"
	"os"
	"strings"

	"dist.example/client"
	"dist.example/oci"
)

// unpackCmd is `dist unpack`.
type unpackCmd struct {
	quietFlag
	ID       string   `arg:"" name:"id" help:"Name or digest of the image, or the first 6 or more hex digits of its digest."`
	Dir      string   `arg:"" type:"path" help:"Folder to make. It may be there if it is empty."`
	Platform platform `placeholder:"OS/ARCH" env:"DIST_PLATFORM" help:"Platform to take from an index, for example linux/arm64. The default is this machine's, of Linux on a Mac."`
	Rootless bool     `help:"Give no owners away and make no devices: everything belongs to you. It is how it is without root, and can be asked for as root."`
	MaxSize  byteSize `placeholder:"SIZE" default:"256G" help:"Refuse an image whose files have more, in all layers together (256G by default; 0 does not look)."`
}

// Help is the longer text of `dist unpack --help`.
func (unpackCmd) Help() string {
	return `Makes a folder that has the root filesystem of an image in the store: what a container of it sees when it starts. Nothing is fetched; pull brings what is not here.

The layers go on top of each other as image-spec says, whiteouts included. Permissions, times, symbolic and hard links and extended attributes come along, and, for root, owners by their numbers and devices. Without root everything belongs to you and devices are left out; nobody else gets into the folder then, since programs of the image that are setuid would run as you. What was left out is said. Unpacking as root, keep in mind that devices and setuid programs of an image are there for every user of the machine: give a folder below one that is closed to them.

Each layer is checked against its digest and its diff_id while it is unpacked (exit 4). Entries that would lead out of the folder are refused; links are kept as they are, and none is followed on the disk. Exit 14 is for what this file system cannot have, such as two names that differ in case alone, for layers of Windows, and for more than --max-size.

The folder appears at once, when all of it is whole. What a run leaves that was killed stands beside it (.DIR.dist-unpack), and the next one of the same user to the same folder begins anew.

Examples:

    $ dist unpack demo/app:v1 rootfs
    $ dist unpack --platform linux/arm64 redis:7 /srv/redis
    $ dist unpack --rootless --format json demo/app:v1 rootfs`
}

type skippedJSON struct {
	Owners  int `json:"owners"`
	Devices int `json:"devices"`
	Xattrs  int `json:"xattrs"`
}

type unpackJSON struct {
	Digest   oci.Digest  `json:"digest"`
	Platform string      `json:"platform"`
	Dir      string      `json:"dir"`
	Layers   int         `json:"layers"`
	Files    int         `json:"files"`
	Folders  int         `json:"folders"`
	Links    int         `json:"links"`
	Size     int64       `json:"size"`
	Skipped  skippedJSON `json:"skipped"`
}

// Run unpacks and prints the digest of the image.
func (c *unpackCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	out, err := dist.Unpack(s.ctx, c.ID, c.Dir, client.UnpackOptions{
		Platform: c.Platform.Platform, Rootless: c.Rootless || os.Geteuid() != 0, MaxSize: int64(c.MaxSize),
	})
	s.progress.stop()
	if err != nil {
		return about(c.ID, err)
	}
	digest := line(out.Image.Digest.String())
	if c.Quiet {
		return digest(s.stdout)
	}
	if err := s.object(newUnpackJSON(c.Dir, out), digest); err != nil {
		return err
	}
	s.progress.closing(unpackAccount(c.Dir, out))
	return nil
}

func newUnpackJSON(dir string, u client.Unpacked) unpackJSON {
	return unpackJSON{
		Digest: u.Image.Digest, Platform: oci.FormatPlatform(&u.Platform), Dir: dir, Layers: u.Layers,
		Files: u.Files, Folders: u.Folders, Links: u.Links, Size: u.Size,
		Skipped: skippedJSON{u.Skipped.Owners, u.Skipped.Devices, u.Skipped.Xattrs},
	}
}

// unpackAccount is the closing line.
func unpackAccount(dir string, u client.Unpacked) string {
	text := fmt.Sprintf("%s: %s, %s in %s of %s", printable(dir), plural(int64(u.Files), "file"), oci.HumanSize(u.Size),
		plural(int64(u.Layers), "layer"), oci.FormatPlatform(&u.Platform))
	var left []string
	for _, l := range []struct {
		n    int
		what string
	}{{u.Skipped.Owners, "owner"}, {u.Skipped.Devices, "device"}, {u.Skipped.Xattrs, "extended attribute"}} {
		if l.n > 0 {
			left = append(left, plural(int64(l.n), l.what))
		}
	}
	if len(left) > 0 {
		text += "; left out: " + strings.Join(left, ", ")
	}
	return text
}
