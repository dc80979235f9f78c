package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/unpack"
)

// unpackCmd is `dist unpack`.
type unpackCmd struct {
	quietFlag
	ID        string   `arg:"" optional:"" name:"id" complete:"id" help:"Image to unpack: ${id}."`
	Dir       string   `arg:"" optional:"" type:"path" complete:"dir" help:"Folder to make. It may be there if it is empty."`
	Args      []string `arg:"" optional:"" complete:"none" help:"With --bundle, the command in place of the image's, after --."`
	Platform  platform `placeholder:"OS/ARCH" env:"DIST_PLATFORM" help:"Platform to take from an index, for example linux/arm64. The default is this machine's, of Linux on a Mac."`
	Bundle    bool     `help:"Make a runtime bundle: the root filesystem in DIR/rootfs, and a config.json by which runc and crun start it."`
	Terminal  bool     `help:"With --bundle: give the process a terminal of its own."`
	Rootless  bool     `help:"Give no owners away and make no devices: everything belongs to you. It is how it is without root, and can be asked for as root."`
	Subids    bool     `help:"Without root, give owners as the ranges of numbers have it that /etc/subuid and /etc/subgid have for you."`
	Snapshots bool     `help:"Keep the layers unpacked in the store, for this image and others that share them, and copy the folder from there: without new blocks, where the file system can share them."`
	Mount     bool     `help:"Keep the layers unpacked in the store, and mount them instead of copying. Without root, print the command that does."`
	Umount    string   `type:"path" complete:"dir" placeholder:"DIR" help:"Take a folder away that was made with --mount."`
	Discard   bool     `help:"With --umount: also where something was written to it."`
	MaxSize   byteSize `placeholder:"SIZE" default:"256G" help:"Refuse an image whose files have more, in all layers together (256G by default; 0 does not look)."`
}

// Help is the longer text of `dist unpack --help`.
func (unpackCmd) Help() string {
	return `Makes a folder that has the root filesystem of an image in the store: what a container of it sees when it starts. Nothing is fetched; pull brings what is not here, and its --unpack does both.

The layers go on top of each other as image-spec says, whiteouts included. Permissions, times, symbolic and hard links, holes and extended attributes come along, and, for root, owners by their numbers and devices. Without root everything belongs to you and devices are left out; nobody else gets into the folder then, since programs of the image that are setuid would run as you. What was left out is said. Unpacking as root, keep in mind that devices and setuid programs of an image are there for every user of the machine: give a folder below one that is closed to them.

With --bundle the folder is an OCI runtime bundle, and closed to others. Its config.json has the image's command, environment, working folder, user (by name, too, as the image's own /etc/passwd has it), labels as annotations, and volumes as file systems in memory that begin with what the image has there. The process gains no privileges, and sees no network but its own; without root it sees that of the machine, in a user namespace in which you are root. Labels by which runtimes take orders are left out, and told. What an image does not say can be changed in the file.

--subids unpacks in a user namespace that has your ranges of numbers, as Podman does, so that files have their owners and containers have all users. It takes newuidmap and newgidmap (Debian: uidmap). The files are not yours then: "unshare --map-auto --map-root-user rm -r DIR" removes them, or "podman unshare rm -r DIR".

Each layer is checked against its digest and its diff_id while it is unpacked (exit 4). Entries that would lead out of the folder are refused; links are kept as they are, and none is followed on the disk. Exit 14 is for what this file system cannot have, such as two names that differ in case alone, for layers of Windows, and for more than --max-size.

--snapshots keeps what each layer changes in the store, as files ("dist store info" tells how much). The next image that has the layer, or the same once more, needs not unpack it. What is copied is held to the sums that the files had; what shares blocks, as on Btrfs and XFS, is not read. Elsewhere a copy of many small files takes about as long as unpacking them. Snapshots go with their layer, "dist gc --snapshots" removes all that no command or mounted folder uses, and a quota takes them before any name. "dist check" reads them, too.

--mount takes no time and no room: overlayfs shows the snapshots as they are in the store, and what is written goes to a folder beside DIR (.DIR.dist-mount), or in the bundle (dist-mount). The image is kept by a lease until --umount, which takes all of this away, but not what was written: "dist repack" makes a layer of that, --discard throws it away. Without root it prints the command that mounts, for root or for a shell of "unshare -Umr". Such a shell has to end before --umount, which does not see what it has mounted.

The folder appears at once, when all of it is whole. What a run leaves that was killed stands beside it (.DIR.dist-unpack), and the next one of the same user to the same folder begins anew.

Examples:

    $ dist unpack demo/app:v1 rootfs
    $ dist unpack --platform linux/arm64 redis:7 /srv/redis
    $ dist unpack --rootless --format json demo/app:v1 other
    $ dist unpack --bundle demo/app:v1 app && runc run --bundle app app1
    $ dist unpack --bundle --terminal alpine:3 shell -- /bin/sh -l
    $ dist unpack --snapshots redis:7 copy
    $ dist unpack --mount redis:7 mounted
    $ dist unpack --umount mounted`
}

// Run unpacks and prints the digest of the image.
func (c *unpackCmd) Run(s *session) error {
	switch {
	case c.Umount != "" && (c.ID != "" || c.Snapshots || c.Mount || c.Bundle || c.Terminal || c.Rootless || c.Subids):
		return usagef("--umount takes the folder away that it names: give nothing else")
	case c.Umount != "":
		return c.umount(s)
	case c.Discard:
		return usagef("--discard is for --umount DIR")
	case c.ID == "" || c.Dir == "":
		return usagef("give an image, and the folder to make")
	case !c.Bundle && (c.Terminal || len(c.Args) > 0):
		return usagef("a command and --terminal are for a runtime bundle: give --bundle, too")
	case c.Subids && (c.Snapshots || c.Mount):
		return usagef("--subids has owners that nobody could collect from the store: snapshots are made without it, or with --rootless")
	}
	o := unpackDefaults(c.Rootless)
	o.Platform, o.MaxSize, o.Snapshots, o.Mount = c.Platform.Platform, int64(c.MaxSize), c.Snapshots, c.Mount
	if c.Bundle {
		o.Bundle = &unpack.BundleOptions{Args: c.Args, Terminal: c.Terminal}
	}
	if c.Subids {
		if c.Rootless {
			return usagef("--rootless gives no owners away, and --subids does: give one of them")
		}
		uids, gids, err := s.remap()
		if err != nil {
			return err
		}
		o.Rootless, o.Closed = false, true
		if o.Bundle != nil {
			o.Bundle.UIDs, o.Bundle.GIDs = uids, gids
		}
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	out, err := dist.Unpack(s.ctx, c.ID, c.Dir, o)
	s.progress.stop()
	if err != nil {
		return about(c.ID, err)
	}
	digest := line(out.Image.Digest.String())
	if c.Quiet {
		return digest(s.stdout)
	}
	if c.Mount && !out.Mounted {
		digest = line(out.MountCommand)
	}
	if err := s.object(newUnpackJSON(out), digest); err != nil {
		return err
	}
	s.unpacked(out)
	return nil
}

// umount takes a folder away, and prints the digest of its image.
func (c *unpackCmd) umount(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	image, err := dist.Unmount(s.ctx, c.Umount, c.Discard)
	if err != nil {
		return about(c.Umount, err)
	}
	if c.Quiet {
		return line(image.String())(s.stdout)
	}
	return s.object(unmountedJSON{image, c.Umount}, line(image.String()))
}

// unmountedJSON is a folder that was taken away.
type unmountedJSON struct {
	Digest oci.Digest `json:"digest"`
	Dir    string     `json:"dir"`
}

// unpackDefaults are how an image is unpacked that nothing else is said for.
func unpackDefaults(rootless bool) client.UnpackOptions {
	return client.UnpackOptions{Rootless: rootless || os.Geteuid() != 0, MaxSize: defaultMaxSize}
}

// defaultMaxSize bounds the files of an image that is unpacked, in bytes.
const defaultMaxSize = 256 << 30

// remap has the verb done in a user namespace that has the ranges of who runs it: by
// another run of this program, which ends this one, or, in that, here.
func (s *session) remap() (uids, gids []unpack.IDMap, err error) {
	uids, gids, inside, err := unpack.UserNamespace(s.ctx)
	switch {
	case err != nil || inside:
		return uids, gids, err
	case os.Geteuid() == 0:
		return nil, nil, usagef("--subids is for users that are not root, who gives owners as they are")
	}
	var stdin io.Reader // for a passphrase; what is no file would be waited for
	if f, ok := s.terminal.(*os.File); ok {
		stdin = f
	}
	exit, err := unpack.Remap(s.ctx, stdin, s.stdout, s.stderr)
	if err == nil {
		err = exitStatus(exit)
	}
	return nil, nil, err
}

type unpackJSON struct {
	Digest   oci.Digest     `json:"digest"`
	Platform string         `json:"platform"`
	Dir      string         `json:"dir"`
	Bundle   bool           `json:"bundle"`
	Layers   int            `json:"layers"`
	Files    int            `json:"files"`
	Folders  int            `json:"folders"`
	Links    int            `json:"links"`
	Size     int64          `json:"size"`
	Skipped  unpack.Skipped `json:"skipped"`
	// What only snapshots have.
	Reused       int    `json:"reusedLayers,omitempty"`
	Made         int    `json:"keptLayers,omitempty"`
	Mounted      bool   `json:"mounted,omitempty"`
	MountCommand string `json:"mountCommand,omitempty"`
	// What only a bundle has.
	User   string   `json:"user,omitempty"`
	Meant  string   `json:"meantUser,omitempty"`
	Labels []string `json:"skippedLabels,omitempty"`
}

func newUnpackJSON(u client.Unpacked) unpackJSON {
	return unpackJSON{
		Digest: u.Image.Digest, Platform: oci.FormatPlatform(&u.Platform), Dir: u.Dir, Bundle: u.User != "", Layers: u.Layers,
		Files: u.Files, Folders: u.Folders, Links: u.Links, Size: u.Size,
		Reused: u.Reused, Made: u.Made, Mounted: u.Mounted, MountCommand: u.MountCommand,
		Skipped: u.Skipped, User: u.User, Meant: u.Meant, Labels: u.Labels,
	}
}

// unpacked tells people what came of unpacking.
func (s *session) unpacked(u client.Unpacked) {
	if u.Meant != "" {
		s.warn(fmt.Sprintf("it runs as root of its user namespace, who is you: the image means %s, whom that has not; `dist unpack --subids` gives it your ranges", u.Meant))
	}
	for _, key := range u.Labels {
		s.warn(fmt.Sprintf("label %s is left out: runtimes take orders by it", printable(key)))
	}
	s.progress.closing(unpackAccount(u))
}

// unpackAccount is the closing line.
func unpackAccount(u client.Unpacked) string {
	text := fmt.Sprintf("%s: %s, %s in %s of %s", printable(u.Dir), plural(int64(u.Files), "file"), oci.HumanSize(u.Size),
		plural(int64(u.Layers), "layer"), oci.FormatPlatform(&u.Platform))
	if u.Reused+u.Made > 0 {
		text += fmt.Sprintf("; kept unpacked: %s, new: %d", plural(int64(u.Reused+u.Made), "layer"), u.Made)
	}
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
