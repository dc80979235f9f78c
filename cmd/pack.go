package cmd

import (
	"fmt"

	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
)

// packCmd is `dist pack`.
type packCmd struct {
	quietFlag
	Name   string   `arg:"" complete:"name" help:"Name to give what is made, or with -a the name of what is added to."`
	Word   []string `arg:"" optional:"" complete:"file|id" help:"What goes in: ID, KEY=ID, PATH[:TYPE] or KEY=PATH[:TYPE]."`
	Print  bool     `short:"p" help:"Print the manifest, byte for byte, instead of its digest."`
	Append bool     `short:"a" help:"Add to the manifest that NAME stands for; all else in it stays."`
	Type   string   `short:"t" enum:"image,artifact,index," default:"" placeholder:"KIND" help:"What to make: image (the default), artifact or index. With -a it must be what NAME is."`
	requireKeyFlag
	ArtifactType string   `placeholder:"TYPE" complete:"none" help:"Type of an artifact, a media type. Without it and without config= it is application/vnd.unknown.artifact.v1."`
	Compress     string   `enum:"gzip,zstd,none," default:"" placeholder:"HOW" help:"How layers made of folders are compressed: gzip (the default), zstd or none. Folders in artifacts are gzip."`
	Prefix       string   `placeholder:"PATH" complete:"none" help:"Folder of the image that packed folders become; without it, its root."`
	FollowLinks  bool     `help:"Pack what symbolic links lead to in place of the links."`
	Platform     platform `placeholder:"OS/ARCH" help:"Platform that a new image is for, and of a --from that is an index. The default is DIST_PLATFORM from the environment, else this machine's, of Linux on a Mac."`
	From         string   `placeholder:"BASE" complete:"id" help:"Image to make a new one from: its layers come first, its configuration is the beginning."`
	Config       string   `placeholder:"WORD" complete:"file|id" help:"The same as config=WORD: an ID, or PATH[:TYPE]."`
	aboutFlags
	settingFlags
}

// Help is the longer text of `dist pack --help`.
func (packCmd) Help() string {
	return `An image is made of layers, lowest first: objects put before, folders, and tars, which may be compressed with gzip or zstd. config= gives a configuration made elsewhere; the layers' diff_ids and the platform are filled in where it has none, and must be right where it has them.

An artifact is made of any files, folders and objects. Each file and folder comes back under its title: KEY, else the relative path as it was given, else the base name of a path that is absolute or leads out through "..". An object has a title only as KEY=ID. config= gives a configuration. dist get --files and oras write such an artifact into a folder.

A chart of Helm's is CHART.tgz:helm in an artifact, its signature FILE.prov:helm-prov. Without config= its configuration is made of Chart.yaml: name, version, description, apiVersion, appVersion and type, as far as they stand on one line, plain or quoted; name and version have to. Models are packed with the words model-weight, model-weight-config, model-doc, model-code and model-dataset for their parts, and config=FILE:model-config; unless --artifact-type says otherwise, the artifact is then one of CNCF's ModelPack.

An index lists manifests and indexes, for OS/ARCH in OS/ARCH=ID, else for the platform that an image's configuration says.

--from makes an image from another that is here. --entrypoint, --cmd and the like change the configuration of an image, new or with -a; an empty value takes a setting out. --entrypoint and --cmd take a JSON array of words, or one word that is the whole program name: nothing is split at blanks. A new entrypoint takes out the command of the image before.

ID is a digest, a name, or the first 6 or more hex digits of a digest. TYPE is a media type or a word that put -t takes. A word that is both an object and a file is refused: write ./x for the file.

What is made is signed for its name, in the same step, by the key that -k or DIST_KEY names, else by the key called default (dist key generate). What is added to is signed again. Without a key it is made all the same, and that is said.

The same input makes the same manifest, byte for byte, wherever and whenever it is packed: entries of folders are sorted, owners are root, and times are 0, or SOURCE_DATE_EPOCH at most.

Examples:

    $ dist pack registry.example/team/app:v1 ./rootfs
    $ dist pack --prefix /usr/local/go --follow-links demo/go:v1 "$(go env GOROOT)"
    $ dist pack -p -t image demo:v1 "$(dist put -t layer content1.tar)"
    $ dist pack demo:v1 config=config.json base.tar.gz ./app
    $ dist pack -a demo:v1 ./more
    $ dist pack --from debian:12 --entrypoint '["/app/tool","--serve"]' --env MODE=fast --user 1000 demo:v2 ./rootfs
    $ dist pack -a --label org.example.team=web --annotation org.example.build=17 demo:v2
    $ dist pack -t artifact --artifact-type application/vnd.example.report demo/report:v1 report.json:json ./figures
    $ dist pack -t artifact demo/web:1.2.3 web-1.2.3.tgz:helm
    $ dist pack -t index demo:all demo:amd64 linux/arm64=demo:arm`
}

type packJSON struct {
	Name         string     `json:"name"`
	Kind         string     `json:"kind"`
	Digest       oci.Digest `json:"digest"`
	MediaType    string     `json:"mediaType"`
	ArtifactType string     `json:"artifactType,omitempty"`
	Size         int64      `json:"size"`
	Manifest     string     `json:"manifest"`
	Config       oci.Digest `json:"config,omitempty"`
	Layers       []partJSON `json:"layers"`
	Manifests    []partJSON `json:"manifests"`
	// Signed is null when no key signed it.
	Signed *signedJSON `json:"signed"`
}

// Run makes the manifest and prints its digest, or all of it.
func (c *packCmd) Run(s *session) error {
	platform, err := c.platform(s)
	if err != nil {
		return err
	}
	if c.Print && c.Quiet {
		return usagef("-p prints the manifest, and -q its digest: give one of them")
	}
	compression, err := c.compression()
	if err != nil {
		return err
	}
	annotations, err := c.annotations()
	if err != nil {
		return err
	}
	settings, err := c.settings()
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
	packed, err := dist.Pack(s.ctx, c.Name, c.Word, client.PackOptions{
		Kind: client.PackKind(c.Type), Append: c.Append, ArtifactType: c.ArtifactType,
		Compression: compression, FollowLinks: c.FollowLinks, Prefix: c.Prefix,
		Platform: platform, Epoch: epoch, Sign: c.signingFlags.options(s), RequireKey: c.RequireKey,
		Annotations: annotations, Subject: c.Subject, Config: c.Config, Base: c.From, Settings: settings,
	})
	s.progress.stop()
	if err != nil {
		return about(c.Name, pathFirst(err, c.Name))
	}
	if err := c.show(s, packed); err != nil || c.Quiet {
		return err
	}
	s.unsigned("pack "+c.Name, packed.Signed)
	return nil
}

// platform is what a new image is for, nil for this machine's. The variable is no
// default of the flag's: it may be set for all calls, also of those that make no
// image, and the flag is refused there.
func (c *packCmd) platform(s *session) (*oci.Platform, error) {
	p, image := c.Platform, !c.Append && (c.Type == "" || c.Type == string(client.PackImage))
	switch {
	case p.Platform != nil && !image:
		return nil, usagef("--platform is what a new image is for; leave it out")
	case p.Platform == nil && image:
		if err := p.UnmarshalText([]byte(s.getenv("DIST_PLATFORM"))); err != nil {
			return nil, fmt.Errorf("DIST_PLATFORM: %w", err)
		}
	}
	return p.Platform, nil
}

// compression is nil where nobody asked for one.
func (c *packCmd) compression() (*layer.Compression, error) {
	if c.Compress == "" {
		return nil, nil
	}
	compression, err := layer.ParseCompression(c.Compress)
	return &compression, err
}

func (c *packCmd) show(s *session, packed client.Packed) error {
	if c.Print {
		_, err := s.stdout.Write(packed.Manifest)
		return err
	}
	return s.identified(c.quietFlag, packed.Descriptor.Digest.String(), newPackJSON(packed))
}

func newPackJSON(p client.Packed) packJSON {
	j := packJSON{
		Name: p.Name.String(), Kind: string(p.Kind), Digest: p.Descriptor.Digest, MediaType: p.Descriptor.MediaType,
		ArtifactType: p.Descriptor.ArtifactType, Size: p.Descriptor.Size,
		Manifest: string(p.Manifest), Config: p.Config.Digest, Layers: []partJSON{}, Manifests: []partJSON{},
	}
	j.Signed = newSignedPart(p.Signed)
	for _, l := range p.Layers {
		j.Layers = append(j.Layers, newPartJSON(client.Part{Descriptor: l.Descriptor, Role: oci.RoleLayer, Held: true}))
	}
	for _, m := range p.Manifests {
		j.Manifests = append(j.Manifests, newPartJSON(m))
	}
	return j
}
