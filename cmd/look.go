package cmd

import (
	"fmt"
	"io/fs"
	"strings"

	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
)

// lookedFlags say which image is looked into.
type lookedFlags struct {
	Platform platform `placeholder:"OS/ARCH" env:"DIST_PLATFORM" help:"Platform to take from an index, for example linux/arm64. The default is this machine's, of Linux on a Mac."`
}

// lsCmd is `dist ls`.
type lsCmd struct {
	lookedFlags
	quietFlag `set:"ids=paths"`
	ID        string `arg:"" name:"id" complete:"id" help:"Image to look into: ${id}."`
	Path      string `arg:"" optional:"" default:"/" complete:"none" help:"Path in the image, / if none is given."`
	Recursive bool   `short:"R" help:"List what is in folders below it, too."`
}

// Help is the longer text of `dist ls --help`.
func (lsCmd) Help() string {
	return `Lists what an image in the store has at a path: what a container of it sees, with whiteouts and what upper layers replace accounted for. Of a folder it lists what is in it; of anything else that alone. Links on the way are followed, never out of the image. Nothing is unpacked.

An index of what is in each layer is kept in the store when somebody first looks into it; later looks read no layer.

Examples:

    $ dist ls demo/app:v1
    $ dist ls demo/app:v1 /etc
    $ dist ls -R --format jsonl demo/app:v1 / | jq -r 'select(.type == "file") | .digest + " " + .path'`
}

// lookedJSON is what is at a path of an image.
type lookedJSON struct {
	Path string `json:"path"`
	entryJSON
}

// Run lists.
func (c *lsCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	files, err := dist.ListFiles(s.ctx, c.ID, c.Path, c.Platform.Platform, c.Recursive)
	s.progress.stop()
	if err != nil {
		return about(c.ID, err)
	}
	return printList(s.stdout, s.format(), c.Quiet, listing[client.ImageFile]{
		key:     "files",
		columns: columns("MODE", "OWNER", "SIZE|", "TIME", "PATH"),
		row: func(f client.ImageFile) []string {
			return []string{modeText(f.Entry), fmt.Sprintf("%d:%d", f.UID, f.GID), sizeText(f.Entry), f.Time.UTC().Format("2006-01-02 15:04"), pathText(f)}
		},
		id:     func(f client.ImageFile) string { return printable(f.Path) },
		object: func(f client.ImageFile) any { return lookedJSON{f.Path, *newEntryJSON(&f.Entry)} },
	}, each(files))
}

// modeText is a mode as ls(1) has it.
func modeText(e layer.Entry) string {
	kinds := map[string]byte{
		layer.TypeFolder: 'd', layer.TypeLink: 'l', layer.TypeCharDevice: 'c', layer.TypeBlockDevice: 'b', layer.TypePipe: 'p',
	}
	text := []byte(fs.FileMode(e.Mode).Perm().String())
	if kind, ok := kinds[e.Type]; ok {
		text[0] = kind
	}
	for _, b := range []struct {
		bit  uint32
		at   int
		mark byte
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		if e.Mode&b.bit == 0 {
			continue
		}
		if text[b.at] == '-' { // there is nothing that it adds to
			b.mark -= 'a' - 'A'
		}
		text[b.at] = b.mark
	}
	return string(text)
}

// sizeText is the size of a file, and the numbers of a device.
func sizeText(e layer.Entry) string {
	switch e.Type {
	case layer.TypeFile:
		return oci.HumanSize(e.Size)
	case layer.TypeCharDevice, layer.TypeBlockDevice:
		return fmt.Sprintf("%d,%d", e.Major, e.Minor)
	}
	return "-"
}

func pathText(f client.ImageFile) string {
	if f.Type == layer.TypeLink {
		return f.Path + " -> " + f.Target
	}
	return f.Path
}

// catCmd is `dist cat`.
type catCmd struct {
	lookedFlags
	ID   string   `arg:"" name:"id" complete:"id" help:"Image to look into: ${id}."`
	Path []string `arg:"" complete:"none" help:"Files in the image."`
}

// Help is the longer text of `dist cat --help`.
func (catCmd) Help() string {
	return `Prints files of an image in the store, one after the other, without unpacking it: only the layers that have them are read, as far as it takes. Links are followed, never out of the image. The content is checked while it is printed, against the sums that the store has noted when the layer was first looked into: with exit 4, do not use what came before. (In a store that somebody else has made these sums are theirs; get and unpack check against digests alone.)

Examples:

    $ dist cat demo/app:v1 /etc/os-release
    $ dist cat --platform linux/arm64 redis:7 /usr/local/bin/redis-server >redis-server`
}

// Run prints the files.
func (c *catCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.startWhenDue()
	err = dist.ReadFiles(s.ctx, c.ID, c.Path, c.Platform.Platform, &afterProgress{s: s})
	s.progress.stop()
	return about(c.ID, err)
}

// afterProgress is stdout, where progress ends before anything is printed.
type afterProgress struct{ s *session }

func (a *afterProgress) Write(p []byte) (int, error) {
	a.s.progress.stop()
	return a.s.stdout.Write(p)
}

// cpCmd is `dist cp`.
type cpCmd struct {
	lookedFlags
	quietFlag `set:"ids=paths"`
	From      string `arg:"" name:"id:path" complete:"id" help:"Image, and an absolute path in it: demo/app:v1:/etc/passwd."`
	To        string `arg:"" name:"target" type:"path" complete:"file" help:"Folder to copy into, or name of what is made."`
}

// Help is the longer text of `dist cp --help`.
func (cpCmd) Help() string {
	return `Copies a file or folder of an image in the store to the disk, without unpacking the rest. Into a folder that is there it goes under its own name, else TARGET is its name. A file replaces one that is there, and goes into a pipe or a device; for a folder nothing may be there but an empty one, also where it is the image's root (ID:/), which has no name. It appears when it is whole, checked as cat checks.

Files keep their permissions and times and belong to you; links stay links. Owners, setuid and setgid bits, extended attributes and devices do not come along: unpack brings those.

Examples:

    $ dist cp demo/app:v1:/etc/os-release .
    $ dist cp redis:7:/usr/local/bin tools`
}

type cpJSON struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Size  int64  `json:"size"`
}

// Run copies and prints the path of what was made.
func (c *cpCmd) Run(s *session) error {
	id, path, ok := strings.Cut(c.From, ":/")
	if !ok || id == "" {
		return usagef("%s: an absolute path has to follow the image, as in demo/app:v1:/etc/passwd", printable(c.From))
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	out, err := dist.CopyFiles(s.ctx, id, "/"+path, c.To, c.Platform.Platform)
	s.progress.stop()
	if err != nil {
		return about(id, err)
	}
	path = printable(out.Path)
	if err := s.identified(c.quietFlag, path, cpJSON{out.Path, out.Files, out.Size}); err != nil || c.Quiet {
		return err
	}
	s.progress.closing(fmt.Sprintf("%s: %s, %s", printable(out.Path), plural(int64(out.Files), "file"), oci.HumanSize(out.Size)))
	return nil
}
