package unpack_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/unpack"
)

// accountsLayer has users, groups, and a link to one of the two.
func accountsLayer() []byte {
	home := folder("home/web", 0o750)
	home.Uid, home.Gid = 1000, 1001
	return packed(home,
		folder("etc", 0o755), folder("usr/share", 0o755), symlink("etc/passwd", "/usr/share/passwd"),
		file("usr/share/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/:/bin/sh\nbroken\nodd:x:many:1:::\n7:x:70:71:::\n", 0o644),
		file("etc/group", "root:x:0:\nweb:x:1001:web\nstaff:x:50:a,web\nops:x:70:web,b\nops2:x:70:web\nother:x:80:webber\n", 0o644),
		file("bin/tool", "#!", 0o755))
}

// config is what a runtime reads, as far as the tests look at it.
type config struct {
	Process struct {
		Terminal bool
		User     struct {
			UID, GID       uint32
			AdditionalGids []uint32
		}
		Args, Env    []string
		Cwd          string
		Capabilities struct{ Bounding, Effective []string }
	}
	Mounts      []mount
	Annotations map[string]string
	Linux       struct {
		Namespaces               []struct{ Type string }
		UIDMappings, GIDMappings []struct{ ContainerID, HostID, Size uint32 }
	}
}

type mount struct {
	Destination, Type string
	Options           []string
}

func (c config) has(namespace string) bool {
	return slices.ContainsFunc(c.Linux.Namespaces, func(n struct{ Type string }) bool { return n.Type == namespace })
}

// bundle makes one and reads its configuration.
func bundle(t *testing.T, image oci.ImageConfig, o unpack.BundleOptions) (config, unpack.BundleResult, string, error) {
	t.Helper()
	above := tempDir(t)
	dir := filepath.Join(above, "bundle")
	o.Rootless = o.Rootless || rootless()
	res, err := unpack.Bundle(t.Context(), dir, inputs(accountsLayer()), oci.Image{Config: image, Platform: oci.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}, o)
	if err != nil {
		wantNothingLeft(t, above)
		return config{}, res, dir, err
	}
	wantNothingLeft(t, above, "bundle")
	p, err := os.ReadFile(filepath.Join(dir, "config.json"))
	must(t, err)
	var c config
	must(t, json.Unmarshal(p, &c))
	return c, res, dir, nil
}

// many has the image's users in a user namespace, so that nobody has to be root.
var many = unpack.BundleOptions{UIDs: []unpack.IDMap{{Outside: 1, Size: 65536}}, GIDs: []unpack.IDMap{{Outside: 1, Size: 65536}}}

func TestABundleIsWhatTheImageSays(t *testing.T) {
	t.Parallel()
	c, res, dir, err := bundle(t, oci.ImageConfig{
		Entrypoint: []string{"/bin/tool", "-v"}, Cmd: []string{"serve"}, Env: []string{"A=b", "PATH=/bin"}, WorkingDir: "srv",
		Labels: map[string]string{
			"team": "web", "run.oci.handler": "krun", "org.systemd.property.X": "1", "org.opencontainers.image.os": "mine",
			"bundle": "app", "bundle=/x": "y", "bundle.of": "mine", "org.criu.config": "/x",
		},
		Volumes:      map[string]struct{}{"/data": {}, "/a//b/": {}},
		ExposedPorts: map[string]struct{}{"80/tcp": {}, "443/tcp": {}}, StopSignal: "SIGQUIT",
	}, unpack.BundleOptions{})
	must(t, err)
	if got := strings.Join(c.Process.Args, " "); got != "/bin/tool -v serve" {
		t.Errorf("it runs %s", got)
	}
	if got := strings.Join(c.Process.Env, " "); got != "A=b PATH=/bin" || c.Process.Cwd != "/srv" || c.Process.Terminal {
		t.Errorf("the process is %+v", c.Process)
	}
	if len(c.Process.Capabilities.Effective) == 0 || slices.Contains(c.Process.Capabilities.Bounding, "CAP_SYS_ADMIN") {
		t.Errorf("it may do %v", c.Process.Capabilities)
	}
	for key, want := range map[string]string{
		"team": "web", "bundle.of": "mine", "bundle": "", "org.opencontainers.image.os": "mine", "org.opencontainers.image.architecture": "arm64", "org.opencontainers.image.variant": "v8",
		"org.opencontainers.image.exposedPorts": "443/tcp,80/tcp", "org.opencontainers.image.stopSignal": "SIGQUIT", "run.oci.handler": "",
	} {
		if c.Annotations[key] != want {
			t.Errorf("annotation %s is %q, want %q", key, c.Annotations[key], want)
		}
	}
	if want := []string{"bundle", "bundle=/x", "org.criu.config", "org.systemd.property.X", "run.oci.handler"}; !slices.Equal(res.Labels, want) || res.User != "0:0" || res.Meant != "" {
		t.Errorf("it says %+v", res)
	}
	var volumes []string
	for _, m := range c.Mounts {
		if slices.Contains(m.Options, "tmpcopyup") {
			volumes = append(volumes, m.Destination)
		}
	}
	if !slices.Equal(volumes, []string{"/a/b", "/data"}) {
		t.Errorf("volumes are %q", volumes)
	}
	if i := slices.IndexFunc(c.Mounts, func(m mount) bool { return m.Destination == "/sys/fs/cgroup" }); i < 0 || !slices.Contains(c.Mounts[i].Options, "ro") {
		t.Errorf("control groups can be written to: %+v", c.Mounts)
	}
	if c.has("user") != rootless() || c.has("network") == rootless() {
		t.Errorf("its namespaces are %v", c.Linux.Namespaces)
	}
	fi, err := os.Stat(dir)
	must(t, err)
	in, err := os.Stat(filepath.Join(dir, "rootfs"))
	must(t, err)
	if fi.Mode().Perm() != 0o700 || in.Mode().Perm() != 0o755 {
		t.Errorf("the bundle is %v, its root %v", fi.Mode(), in.Mode())
	}
}

// A user is a name or a number, of the image's own accounts.
func TestWhoABundleRunsAs(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]string{
		"": "0:0", "root": "0:0", "web": "1000:1001 50 70", "web:staff": "1000:50", "web:7": "1000:7", "1000": "1000:1001",
		"1234": "1234:0", "1234:5678": "1234:5678", "1000:ops": "1000:70",
		// A number is that, whatever a user is called.
		"7": "7:0",
		// What is there no more, or no number.
		"nobody": "", "web:none": "", "odd": "", ":5": "", "-1": "", "4294967295": "",
	} {
		c, _, _, err := bundle(t, oci.ImageConfig{Cmd: []string{"/bin/tool"}, User: user}, unpack.BundleOptions{})
		got := ""
		if err == nil {
			u := c.Process.User
			got = strings.TrimSpace(strings.Trim(strings.ReplaceAll(jsonText(t, []any{u.UID, u.GID, u.AdditionalGids}), ",", " "), "[]"))
		} else if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("user %q: %v", user, err)
		}
		if rootless() && want != "" {
			want = "0:0" // the namespace has nobody else
		}
		if want := strings.Replace(want, ":", " ", 1); strings.ReplaceAll(strings.ReplaceAll(got, "[", ""), " null", "") != want {
			t.Errorf("user %q runs as %s, want %s", user, got, want)
		}
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	p, err := json.Marshal(v)
	must(t, err)
	return string(p)
}

// A user namespace has whom its maps have.
func TestUsersOfANamespace(t *testing.T) {
	t.Parallel()
	image := oci.ImageConfig{Cmd: []string{"/bin/tool"}, User: "web"}
	c, res, _, err := bundle(t, image, many)
	must(t, err)
	if c.Process.User.UID != 1000 || c.Process.User.AdditionalGids != nil || res.Meant != "" || !c.has("user") || len(c.Linux.UIDMappings) != 1 || len(c.Process.Capabilities.Effective) != 0 {
		t.Errorf("with a range it is %+v of %+v, %+v", c.Process.User, c.Linux, res)
	}
	// A volume is whose the folder is, if the namespace has them.
	image.Volumes = map[string]struct{}{"/home/web": {}}
	c, _, _, err = bundle(t, image, many)
	must(t, err)
	if o := c.Mounts[len(c.Mounts)-1].Options; !rootless() && !slices.Contains(o, "uid=1000") || !slices.Contains(o, "mode=750") {
		t.Errorf("its options are %q", o)
	}
	c, res, _, err = bundle(t, image, unpack.BundleOptions{Options: unpack.Options{Rootless: true}})
	must(t, err)
	if c.Process.User.UID != 0 || res.User != "0:0" || res.Meant != "1000:1001" || c.Linux.UIDMappings[0].HostID != uint32(os.Geteuid()) {
		t.Errorf("alone it is %+v of %+v, %+v", c.Process.User, c.Linux, res)
	}
}

func TestWhatIsNoBundle(t *testing.T) {
	t.Parallel()
	for name, image := range map[string]oci.ImageConfig{
		"no command":      {},
		"the root":        {Cmd: []string{"x"}, Volumes: map[string]struct{}{"/": {}}},
		"up to the root":  {Cmd: []string{"x"}, Volumes: map[string]struct{}{"/a/..": {}}},
		"relative volume": {Cmd: []string{"x"}, Volumes: map[string]struct{}{"data": {}}},
		"over the system": {Cmd: []string{"x"}, Volumes: map[string]struct{}{"/proc/../sys/x": {}}},
		"over a file":     {Cmd: []string{"x"}, Volumes: map[string]struct{}{"/etc/passwd": {}}},
	} {
		if _, _, _, err := bundle(t, image, unpack.BundleOptions{}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, _, _, err := bundle(t, oci.ImageConfig{Entrypoint: []string{"a"}, Cmd: []string{"b"}}, unpack.BundleOptions{Args: []string{"c", "d"}, Terminal: true})
	must(t, err)
	if got := strings.Join(c.Process.Args, " "); got != "c d" || !c.Process.Terminal || !slices.Contains(c.Process.Env, "TERM=xterm") {
		t.Errorf("the process is %+v", c.Process)
	}
}

// An image's accounts are its own, wherever a link leads, and of a bounded size.
func TestAccountsAreTheImages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		layer []byte
		want  error
	}{
		"a link up":   {packed(symlink("etc/passwd", "../../../../../../etc/passwd"), file("etc/passwd2", "", 0o644)), content.ErrInvalid},
		"a folder":    {packed(folder("etc/passwd", 0o755)), content.ErrInvalid},
		"a pipe":      {packed(special('6', "etc/passwd")), content.ErrInvalid},
		"nothing":     {packed(), content.ErrInvalid},
		"a ring":      {packed(symlink("etc/passwd", "passwd")), content.ErrInvalid},
		"a big one":   {packed(file("etc/passwd", strings.Repeat("x", 5<<20), 0o644)), content.ErrUnsupported},
		"a long line": {packed(file("etc/passwd", strings.Repeat("x", 3<<20), 0o644)), content.ErrInvalid},
	} {
		dir := filepath.Join(tempDir(t), "bundle")
		image := oci.Image{Config: oci.ImageConfig{Cmd: []string{"x"}, User: "root"}}
		_, err := unpack.Bundle(t.Context(), dir, inputs(c.layer), image, unpack.BundleOptions{Options: unpack.Options{Rootless: rootless()}})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSubordinateIDs(t *testing.T) {
	t.Parallel()
	maps, err := unpack.SubordinateIDs(strings.NewReader("# ranges\nme:100000:65536\nyou:200000:65536\n 1000:400000:10 \nme:x:1\nme:1:0\nme:4294967290:100\nme:1:4294967290\n"), "me", 1000, 1001)
	must(t, err)
	if want := []unpack.IDMap{{0, 1001, 1}, {1, 100000, 65536}, {65537, 400000, 10}}; !slices.Equal(maps, want) {
		t.Errorf("the maps are %v, want %v", maps, want)
	}
	if _, err := unpack.SubordinateIDs(strings.NewReader("you:1:2"), "me", 1000, 1000); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("without a range: %v", err)
	}
}

func FuzzSubordinateIDs(f *testing.F) {
	f.Add("me:100000:65536\n1000:4294967294:1\nme:1:2:3\n")
	f.Fuzz(func(t *testing.T, text string) {
		maps, err := unpack.SubordinateIDs(strings.NewReader(text), "me", 1000, 1000)
		next := uint64(0)
		for _, m := range maps {
			if uint64(m.Inside) != next || m.Size == 0 || uint64(m.Outside)+uint64(m.Size) > 1<<32 {
				t.Fatalf("the maps are %v", maps)
			}
			next += uint64(m.Size)
		}
		if err == nil && len(maps) < 2 {
			t.Errorf("no range, and no error: %v", maps)
		}
	})
}
