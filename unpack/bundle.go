package unpack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// The names in a runtime bundle (runtime-spec, bundle.md).
const (
	rootfsName = "rootfs"
	configName = "config.json"
)

// BundleOptions direct Bundle. The zero value is for root.
type BundleOptions struct {
	Options
	Args     []string // the command, in place of the image's Entrypoint and Cmd
	Terminal bool     // the process gets a terminal of its own
	// UIDs and GIDs are those of the container's user namespace. Without, there is none,
	// unless Rootless is set: then it is one in which whoever unpacks is root, and alone.
	UIDs, GIDs []IDMap
}

// BundleResult is what was made.
type BundleResult struct {
	Result
	// User is whom the process runs as, by its numbers in the container. Meant is whom the
	// image means where that is another: the namespace has no such user, and root of it,
	// who is whoever unpacked, runs in its place.
	User, Meant string
	// Labels are the keys of those of the image that are no annotations, because runtimes
	// take orders by them.
	Labels []string
}

// Bundle is Rootfs for a runtime bundle: a folder with rootfs and the config.json by which
// OCI runtimes start it (image-spec, conversion.md). Nobody else gets into it. The
// process has the capabilities of the usual runtimes but for raw sockets and devices, and
// gains none; volumes are file systems in memory that have what the image has there, and
// are gone with the container. There is no network but with a user namespace, where it is
// the host's, and no filter of system calls. In a user namespace the process has no
// additional groups, which runc refuses there.
//
// Errors: those of Rootfs; ErrInvalid also for an image that has no command and is given
// none, for a user that it does not have, and for a volume over something else than a folder
// of it, or over what runtimes mount.
func Bundle(ctx context.Context, dir string, src Source, image oci.Image, o BundleOptions) (BundleResult, error) {
	var res BundleResult
	if o.Rootless && len(o.UIDs) == 0 {
		if os.Geteuid() < 0 {
			return res, fmt.Errorf("%w: a bundle for a user of a system that numbers none", content.ErrUnsupported)
		}
		o.UIDs, o.GIDs = []IDMap{{0, uint32(os.Geteuid()), 1}}, []IDMap{{0, uint32(os.Getegid()), 1}}
	}
	if len(command(image.Config, o.Args)) == 0 {
		return res, content.WithHint(fmt.Errorf("%w: the image has no command", content.ErrInvalid),
			"`dist unpack` takes one at the end, after --")
	}
	if err := checkVolumes(image.Config); err != nil {
		return res, err
	}
	var at string
	err := place(ctx, dir, o.Options, func(st *stage) (err error) {
		at = filepath.Join(st.dir, rootfsName)
		root, err := st.folder(rootfsName)
		if err != nil {
			return err
		}
		defer root.Close()
		tree, err := src.fill(ctx, st, root, o.Options, false, &res.Result)
		if err != nil {
			return err
		}
		open := func(name string) (io.ReadCloser, error) { return src.open(root, name) }
		config, err := res.config(image, o, accounts{tree, open})
		if err != nil {
			return err
		}
		if err := st.write(configName, config); err != nil || o.Record == nil {
			return err
		}
		return st.record(*o.Record, root, o.Options, res.Result, false, true)
	})
	if err == nil {
		err = src.placed(ctx, at)
	}
	return res, err
}

// config is the config.json.
func (r *BundleResult) config(image oci.Image, o BundleOptions, a accounts) ([]byte, error) {
	u, err := a.find(image.Config.User)
	if err != nil {
		return nil, err
	}
	if len(o.UIDs) > 0 && (!mapped(o.UIDs, u.uid) || !mapped(o.GIDs, u.gid)) {
		r.Meant = u.String()
		u = identity{}
	}
	if len(o.GIDs) > 0 {
		u.groups = nil // runc starts nothing that has more groups, where it is not root
	}
	r.User = u.String()
	c, dropped, err := runtimeConfig(image, u, a.tree, o)
	if err != nil {
		return nil, err
	}
	r.Labels = dropped
	p, err := json.MarshalIndent(c, "", "  ")
	return append(p, '\n'), err
}

// String is UID:GID.
func (u identity) String() string { return fmt.Sprintf("%d:%d", u.uid, u.gid) }

// write makes a file beside the root filesystem.
func (st *stage) write(name string, p []byte) error {
	f, err := st.tree.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fsys.Classify(err)
	}
	_, err = f.Write(p)
	return fsys.Classify(errors.Join(err, f.Close()))
}
