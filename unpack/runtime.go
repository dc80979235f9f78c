package unpack

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// runtimeVersion is the version of runtime-spec whose fields are used, the oldest that
// has them: runtimes refuse what is newer than they are. (The option tmpcopyup is younger in
// the text than in runtimes: runc and crun have had it for long.)
const runtimeVersion = "1.0.2"

// capabilities are what a container's root may do with what is its own; what reaches out
// of it, such as raw sockets and devices, is not among them.
var capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
	"CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// unsafeLabels begin the keys of annotations by which runtimes take orders: hooks, other
// handlers, properties of systemd, files of the machine. conversion.md has all labels of an
// image become annotations, and lets a converter leave out those that it takes for unsafe;
// runtime-spec (features.md) has runtimes say which these are.
var unsafeLabels = []string{
	"run.oci.", "org.systemd.property.", "org.criu.", "krun.", "io.katacontainers.", "io.kubernetes.cri", "dev.gvisor.", "cdi.k8s.io/",
	"com.github.containers.", "module.wasm.image/",
}

// isUnsafe says whether a label is left out. runc finds the folder of a bundle by an
// annotation called bundle, before its own, and knows no = in a key.
func isUnsafe(label string) bool {
	key, _, _ := strings.Cut(label, "=")
	return key == "bundle" || slices.ContainsFunc(unsafeLabels, func(p string) bool { return strings.HasPrefix(key, p) })
}

// runtimeConfig is an image's configuration as one of runtime-spec, for a process that
// runs as u, by the rules of image-spec (conversion.md). dropped are the keys of labels
// that are left out, in their order.
func runtimeConfig(image oci.Image, u identity, tree *layer.Tree, o BundleOptions) (c *specs.Spec, dropped []string, err error) {
	c = &specs.Spec{
		Version: runtimeVersion,
		Root:    &specs.Root{Path: rootfsName},
		Process: process(image.Config, u, o),
		Mounts:  mounts(o),
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.CgroupNamespace},
			},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
				"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	if len(o.UIDs) == 0 {
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
		c.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	} else {
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		c.Linux.UIDMappings, c.Linux.GIDMappings = mappings(o.UIDs), mappings(o.GIDs)
	}
	for _, v := range slices.Sorted(maps.Keys(image.Config.Volumes)) {
		m, err := volume(v, tree, o)
		if err != nil {
			return nil, nil, err
		}
		c.Mounts = append(c.Mounts, m)
	}
	c.Annotations, dropped = annotations(image)
	return c, dropped, nil
}

// checkVolumes refuses volumes that are no places of an image's own: over what the runtime
// mounts a volume would put the image's files in the place of the system's.
func checkVolumes(image oci.ImageConfig) error {
	for _, v := range slices.Sorted(maps.Keys(image.Volumes)) {
		if !ownPlace(path.Clean(v)) {
			return fmt.Errorf("%w: the image's volume %q is no folder of its own", content.ErrInvalid, v)
		}
	}
	return nil
}

// ownPlace says whether a path is below the root, and not where the runtime mounts.
func ownPlace(at string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
	return path.IsAbs(at) && !slices.Contains([]string{"", "proc", "dev", "sys"}, first)
}

// volume is the mount of one: what the image has there is in it at the start, as with
// docker run, and it is whose the folder is.
func volume(v string, tree *layer.Tree, o BundleOptions) (specs.Mount, error) {
	m := specs.Mount{Destination: path.Clean(v), Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "tmpcopyup"}}
	real, e, err := tree.Lookup(v)
	switch {
	case errors.Is(err, content.ErrNotFound):
		// The runtime makes it; where a link leads to what is not there, it follows that.
		for at := strings.TrimPrefix(m.Destination, "/"); at != "."; at = path.Dir(at) {
			if e, ok := tree.At(at); ok && e.Type == layer.TypeLink {
				return m, fmt.Errorf("%w: the image's volume %q is behind a link that leads nowhere", content.ErrInvalid, v)
			}
		}
		return m, nil
	case err != nil:
		return m, err
	case !ownPlace("/" + real):
		return m, fmt.Errorf("%w: the image's volume %q leads to /%s, which is no folder of its own", content.ErrInvalid, v, real)
	case e.Type != layer.TypeFolder:
		return m, fmt.Errorf("%w: the image's volume %q is a %s there", content.ErrInvalid, v, e.Type)
	}
	if isOwner(e.UID) && isOwner(e.GID) && (len(o.UIDs) == 0 || mapped(o.UIDs, uint32(e.UID)) && mapped(o.GIDs, uint32(e.GID))) {
		m.Options = append(m.Options, fmt.Sprintf("mode=%o", e.Mode), fmt.Sprintf("uid=%d", e.UID), fmt.Sprintf("gid=%d", e.GID))
	}
	return m, nil
}

// process is what runs.
func process(image oci.ImageConfig, u identity, o BundleOptions) *specs.Process {
	p := &specs.Process{
		Terminal: o.Terminal, NoNewPrivileges: true,
		User: specs.User{UID: u.uid, GID: u.gid, AdditionalGids: u.groups},
		Args: command(image, o.Args),
		Env:  slices.Clone(image.Env),
		// One that is not absolute starts where containers start.
		Cwd:          path.Join("/", image.WorkingDir),
		Capabilities: &specs.LinuxCapabilities{Bounding: capabilities},
	}
	if u.uid == 0 {
		p.Capabilities.Effective, p.Capabilities.Permitted = capabilities, capabilities
	}
	def := func(name, value string) {
		if !slices.ContainsFunc(p.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
			p.Env = append(p.Env, name+"="+value)
		}
	}
	def("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if o.Terminal {
		def("TERM", "xterm")
	}
	return p
}

// command is what a process of the image runs: args in place of its Cmd and Entrypoint,
// if there are any.
func command(image oci.ImageConfig, args []string) []string {
	if len(args) > 0 {
		return args
	}
	return slices.Concat(image.Entrypoint, image.Cmd)
}

// mounts are the file systems that a container has besides its own.
func mounts(o BundleOptions) []specs.Mount {
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	}
	sys := specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}}
	if len(o.UIDs) > 0 {
		// /sys shows the network, and only whose network it is may mount it.
		sys = specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
	}
	// What is mounted below the machine's /sys does not become read-only with it: its control
	// groups, which are those of whoever starts the container, are covered.
	return append(list, sys,
		specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})
}

func mappings(ids []IDMap) []specs.LinuxIDMapping {
	list := make([]specs.LinuxIDMapping, len(ids))
	for i, m := range ids {
		list[i] = specs.LinuxIDMapping{ContainerID: m.Inside, HostID: m.Outside, Size: m.Size}
	}
	return list
}

// annotations are what an image says of itself, labels above all else.
func annotations(image oci.Image) (kept map[string]string, dropped []string) {
	kept = map[string]string{}
	say := func(key, value string) {
		if value != "" {
			kept["org.opencontainers.image."+key] = value
		}
	}
	say("os", image.OS)
	say("architecture", image.Architecture)
	say("variant", image.Variant)
	say("os.version", image.OSVersion)
	say("os.features", strings.Join(image.OSFeatures, ","))
	say("author", image.Author)
	say("stopSignal", image.Config.StopSignal)
	say("exposedPorts", strings.Join(slices.Sorted(maps.Keys(image.Config.ExposedPorts)), ","))
	if image.Created != nil {
		say("created", image.Created.Format(time.RFC3339Nano))
	}
	for _, key := range slices.Sorted(maps.Keys(image.Config.Labels)) {
		if isUnsafe(key) {
			dropped = append(dropped, key)
			continue
		}
		if key != "" { // which runtime-spec does not allow
			kept[key] = image.Config.Labels[key]
		}
	}
	return kept, dropped
}
