package fsys

// MountOverlay mounts an overlay file system on a folder (overlayfs in the kernel's
// documentation). Paths in options are seen from the folder base: they have a page at most,
// and shorter paths are more of them. Errors: content.ErrUnsupported where the system has
// none, or not of these folders; content.ErrDenied for who may mount nothing.
func MountOverlay(base, root, options string) error { return mountOverlay(base, root, options) }

// MaxMountOptions is how many bytes of options MountOverlay takes.
const MaxMountOptions = 4095

// Unmount unmounts what is mounted on a folder last, and says whether anything was. Errors:
// content.ErrConflict while something in it is in use; content.ErrDenied.
func Unmount(root string) (mounted bool, err error) { return unmount(root) }
