package testscripts

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const debianSuite = "bookworm"

// TestUnpackDebianAsOthersDo has dist, umoci and tar unpack a Debian that debootstrap made,
// the same with a layer that umoci made of changes of every kind, and with one that has
// an opaque folder. Here nothing may differ: every folder has its entry. What umoci packed is
// also compared with what it was packed from.
func TestUnpackDebianAsOthersDo(t *testing.T) {
	meetUnpackers(t)
	for _, p := range []peer{unpackers["umoci"], unpackers["tar"], {"debootstrap", "apt-get install debootstrap, on Debian"}} {
		meets(t, p, "")
	}
	dir := t.TempDir()
	layout, bundle := filepath.Join(dir, "layout"), filepath.Join(dir, "bundle")
	runs(t, "umoci", "init", "--layout", layout)
	runs(t, "umoci", "new", "--image", layout+":base")
	runs(t, "umoci", "raw", "add-layer", "--image", layout+":base", debianTar(t))
	runs(t, "umoci", "unpack", "--image", layout+":base", bundle)
	rootfs := filepath.Join(bundle, "rootfs")
	edit(t, rootfs)
	runs(t, "umoci", "repack", "--image", layout+":edited", bundle)
	edited := readFSTree(t, rootfs)
	insert := filepath.Join(dir, "insert")
	must(t, os.MkdirAll(filepath.Join(insert, "deep"), 0o755))
	writeFile(t, filepath.Join(insert, "deep", "new"), []byte("new"))
	runs(t, "umoci", "insert", "--image", layout+":edited", "--tag", "opaque", "--opaque", insert, "/usr/share/doc")
	for _, tag := range []string{"base", "edited", "opaque"} {
		t.Run(tag, func(t *testing.T) {
			dist := distUnpacks(t, layout, tag)
			t.Run("umoci", func(t *testing.T) { wantSameTree(t, dist, umociUnpacks(t, layout, tag), nil) })
			t.Run("tar", func(t *testing.T) { wantSameTree(t, dist, tarUnpacks(t, layersOf(t, layout, tag)...), nil) })
			if tag == "edited" {
				t.Run("source", func(t *testing.T) { wantSameTree(t, dist, edited, knownOfRepack) })
			}
		})
	}
}

// knownOfRepack is what umoci does not put into a layer.
func knownOfRepack(d treeDiff) string {
	if d.field == "time" && d.isRounded() {
		return "umoci rounds times to seconds"
	}
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// edit changes a Debian in all the ways that layers can tell of.
func edit(t *testing.T, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, content string) {
		must(t, errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), []byte(content), 0o644)))
	}
	early := time.Unix(-86400, 123456789)
	for _, err := range []error{
		os.Remove(at("etc/issue")), os.RemoveAll(at("usr/share/doc/apt")), os.Remove(at("etc/localtime")), // file, folder, link
		os.RemoveAll(at("var/backups")), os.WriteFile(at("var/backups"), []byte("a file"), 0o640), // folder to file
		os.Remove(at("etc/motd")), os.Mkdir(at("etc/motd"), 0o750), // file to folder
		os.RemoveAll(at("var/opt")), os.Symlink("lib", at("var/opt")), // folder to link
		os.Remove(at("var/lock")), os.Mkdir(at("var/lock"), 0o1777), // link to folder
		os.RemoveAll(at("usr/share/menu")), os.Mkdir(at("usr/share/menu"), 0o755), // another folder
		os.WriteFile(at("usr/share/menu/new"), []byte("new"), 0o644),
		os.Mkdir(at("srv/one"), 0o755), os.Mkdir(at("srv/two"), 0o2775),
		os.WriteFile(at("srv/one/a"), []byte("linked"), 0o644), os.Link(at("srv/one/a"), at("srv/two/b")),
		os.Symlink("a", at("srv/one/l")), os.Link(at("srv/one/l"), at("srv/two/l")),
		os.Remove(at("usr/bin/uncompress")), // one of the names of a file
		os.Chmod(at("etc/hostname"), 0o600), os.Chown(at("etc/hostname"), 1000, 1000), os.Chmod(at("var/mail"), 0o3770),
		os.Lchown(at("etc/os-release"), 3, 4),
		os.Chmod(at("usr/bin/env"), os.ModeSetuid|0o755),
		syscall.Setxattr(at("usr/bin/true"), "security.capability", []byte(netRaw), 0),
		syscall.Setxattr(at("etc/passwd"), "user.dist", []byte("a\x00b"), 0),
		syscall.Mknod(at("dev/dist"), syscall.S_IFBLK|0o660, 7<<8|5), syscall.Mkfifo(at("run/pipe"), 0o622),
		os.Chtimes(at("etc/fstab"), early, early), os.Chtimes(at("home"), early, early),
	} {
		must(t, err)
	}
	put("etc/motd/in", "in a folder")
	put("opt/\xff latin \n name/"+strings.Repeat("x", 255), "x")
	put("opt/"+strings.Repeat("a-folder-with-a-name-of-forty-characters/", 8)+"x", "x")
}

// debianTar is a layer with the root filesystem of a Debian, which debootstrap makes once
// for a user: it takes a minute and 30 MiB of a mirror. To have another, remove the file.
func debianTar(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	file := filepath.Join(cache, "dist-e2e", "debian-"+debianSuite+".tar")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	mirror := debianMirror(t)
	dir, part := filepath.Join(t.TempDir(), "debian"), file+"."+strconv.Itoa(os.Getpid())
	runs(t, "debootstrap", "--variant=minbase", debianSuite, dir, mirror)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	defer os.Remove(part)
	runs(t, "tar", "-c", "-f", part, "-C", dir, "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sort=name", "--one-file-system",
		"--exclude=./var/cache/apt/archives/*.deb", ".")
	must(t, os.Rename(part, file))
	return file
}

// debianMirror is the one that apt of this machine asks. t is skipped where there is none
// or it does not answer.
func debianMirror(t *testing.T) string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		found, _ := filepath.Glob(pattern) // no error but for a bad pattern
		files = append(files, found...)
	}
	for _, file := range files {
		p, err := os.ReadFile(file)
		must(t, err)
		for _, mirror := range mirrorsIn(string(p)) {
			err := reached(t.Context(), mirror+"/dists/"+debianSuite+"/InRelease")
			if err == nil {
				return mirror
			}
			t.Logf("%s has no Debian %s: %v", mirror, debianSuite, err)
		}
	}
	t.Skip("left out: no mirror of Debian that apt is configured for can be reached")
	return ""
}

// mirrorsIn are the addresses of Debian's own archive in a file of apt's sources, of
// either format.
func mirrorsIn(sources string) []string {
	var mirrors []string
	for lines := bufio.NewScanner(strings.NewReader(sources)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0] != "deb" && words[0] != "URIs:" {
			continue
		}
		for _, word := range words {
			if word = strings.TrimSuffix(word, "/"); strings.HasPrefix(word, "http") && strings.HasSuffix(word, "/debian") {
				mirrors = append(mirrors, word)
			}
		}
	}
	return slices.Compact(mirrors)
}

func reached(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment} // debootstrap asks that one, too
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// layersOf are the tars of an image whose layers are in gzip, as files.
func layersOf(t *testing.T, layout, tag string) []string {
	t.Helper()
	var files []string
	dir := t.TempDir()
	for i, l := range blobsOfLayers(t, layout, tag) {
		p, err := os.ReadFile(l)
		must(t, err)
		r, err := gzip.NewReader(bytes.NewReader(p))
		must(t, err)
		files = append(files, filepath.Join(dir, strconv.Itoa(i)+".tar"))
		f, err := os.Create(files[i])
		must(t, err)
		n, err := io.Copy(f, r)
		must(t, err)
		// umoci insert leaves out what fills the last block and the two of zeroes at the
		// end: dist reads such a layer, tar takes it for one that was cut off.
		_, err = f.Write(make([]byte, (512-n%512)%512+1024))
		must(t, errors.Join(err, f.Close()))
	}
	return files
}

func TestMirrorsOfAptAreFound(t *testing.T) {
	t.Parallel()
	for sources, want := range map[string][]string{
		"# deb http://off.example/debian x main\ndeb [signed-by=/k] http://one.example/debian/ bookworm main\ndeb-src http://src.example/debian x main\n": {"http://one.example/debian"},
		"Types: deb\n# URIs: http://off.example/debian\nURIs: http://two.example/debian https://three.example/mirror/debian/\nSuites: bookworm\n":         {"http://two.example/debian", "https://three.example/mirror/debian"},
		"deb http://one.example/debian-security bookworm-security main\ndeb cdrom:[Debian]/ bookworm main\n":                                              nil,
	} {
		if got := mirrorsIn(sources); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", sources, got, want)
		}
	}
}
