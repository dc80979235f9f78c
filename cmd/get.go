package cmd

import (
	"io"
	"path/filepath"
	"strconv"

	"dist.example/client"
)

// getCmd is `dist get`.
type getCmd struct {
	ID     string `arg:"" name:"id" complete:"id" help:"Content to write or tell about: ${id}."`
	Exists bool   `short:"e" xor:"what" help:"Print nothing at all; exit 0 only if the content is here and its bytes still hash to its digest."`
	Type   bool   `short:"t" xor:"what" help:"Print the type instead of the content."`
	Size   bool   `short:"s" xor:"what" help:"Print the size in bytes instead of the content."`
	Output string `short:"o" xor:"what" placeholder:"FILE" type:"path" help:"Write the content to FILE, which appears only when it is whole and checked."`
	Files  string `xor:"what" placeholder:"DIR" complete:"dir" help:"Write the files and folders of an artifact to DIR, under their titles, and print their paths. DIR is made if it is not there."`
	Force  bool   `short:"f" help:"With --files: write over files that are there."`
}

// Help is the longer text of `dist get --help`.
func (getCmd) Help() string {
	return `The content is checked against its digest while it is written. If it does not match, that is exit 4: do not use what came before. Damage that is met before anything was written is fetched again from where it came, with a line about it; DIST_OFFLINE=1 prevents that.

--files writes what has a title in an artifact, as dist pack -t artifact and oras make it; folders are unpacked. Everything is checked before the first file appears. A title or an entry of a folder that would lead out of DIR is refused, and so is a file that is there already, unless --force is given.

Examples:

    $ dist get sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 >file
    $ dist get -o file 9f86d081
    $ dist get --files out registry.example/team/report:v1
    $ dist get -e 9f86d081 && echo "it is here and sound"`
}

// Run gives out what was asked for.
func (c *getCmd) Run(s *session) error {
	if c.Force && c.Files == "" {
		return usagef("--force is for --files")
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	switch {
	case c.Exists:
		if err := dist.Check(s.ctx, c.ID); err != nil {
			return exitStatus(classify(err).exit)
		}
		return nil
	case c.Type, c.Size:
		return about(c.ID, c.property(s, dist))
	case c.Output != "":
		_, err := dist.GetFile(s.ctx, c.ID, c.Output)
		return about(c.ID, err)
	case c.Files != "":
		return about(c.ID, c.files(s, dist))
	}
	return about(c.ID, c.stream(s, dist))
}

func (c *getCmd) property(s *session, dist *client.Client) error {
	info, err := dist.Stat(s.ctx, c.ID)
	if err != nil {
		return err
	}
	text := info.MediaType
	if c.Size {
		text = strconv.FormatInt(info.Size, 10)
	}
	return s.object(newInfoJSON(info), line(text))
}

func (c *getCmd) stream(s *session, dist *client.Client) error {
	_, r, err := dist.Get(s.ctx, c.ID)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(s.stdout, r)
	return err
}

// writtenJSON is one file that was written.
type writtenJSON struct {
	Path string `json:"path"` // the folder included, as it was given
	Name string `json:"name"` // below the folder, with slashes
	Size int64  `json:"size"`
}

func (c *getCmd) files(s *session, dist *client.Client) error {
	files, err := dist.GetFiles(s.ctx, c.ID, c.Files, client.FilesOptions{Force: c.Force})
	if err != nil {
		return err
	}
	path := func(f client.WrittenFile) string { return filepath.Join(c.Files, filepath.FromSlash(f.Path)) }
	return printList(s.stdout, s.format(), !s.format().structured(), listing[client.WrittenFile]{
		key:    "files",
		id:     func(f client.WrittenFile) string { return printable(path(f)) },
		object: func(f client.WrittenFile) any { return writtenJSON{path(f), f.Path, f.Size} },
	}, each(files))
}
