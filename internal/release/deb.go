package main

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// debName is what the package is called. Debian has another one called dist, with a
// higher version than this will ever have: apt would "upgrade" to that.
const debName = "dist-oci"

// pathsInDebian say where a file of the archive lies in a Debian system, and whether
// it is compressed there.
var pathsInDebian = []struct {
	name       *regexp.Regexp
	path       string
	compressed bool
}{
	{regexp.MustCompile(`^dist$`), "usr/bin/dist", false},
	{regexp.MustCompile(`^(copyright)$`), "usr/share/doc/" + debName + "/$1", false},
	{regexp.MustCompile(`^(changelog)$`), "usr/share/doc/" + debName + "/$1.gz", true},
	{regexp.MustCompile(`^overrides$`), "usr/share/lintian/overrides/" + debName, false},
	{regexp.MustCompile(`^CHANGELOG\.md$`), "usr/share/doc/" + debName + "/CHANGELOG.md.gz", true},
	{regexp.MustCompile(`^README\.md$`), "usr/share/doc/" + debName + "/README.md.gz", true},
	{regexp.MustCompile(`^man/(man[1-9]/.*)$`), "usr/share/man/$1.gz", true},
	{regexp.MustCompile(`^completions/dist\.bash$`), "usr/share/bash-completion/completions/dist", false},
	{regexp.MustCompile(`^completions/_dist$`), "usr/share/zsh/vendor-completions/_dist", false},
	{regexp.MustCompile(`^completions/dist\.fish$`), "usr/share/fish/vendor_completions.d/dist.fish", false},
}

const maintainer = "the dist project <dist@dist.example>"

const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: dist

Files: *
Copyright: 2026 the dist project
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0. The
 licences of the modules in the binary are their own.
`

// overrides tells lintian what is so on purpose.
const overrides = debName + ": statically-linked-binary [usr/bin/dist]\n"

// debChangelog is what Debian wants of a package without a maintainer's revision.
const debChangelog = `%s (%s) unstable; urgency=medium

  * CHANGELOG.md.gz tells what is new.

 -- %s  %s
`

// debVersion is a version as Debian orders them: v1.0.0-rc.1 is before v1.0.0, and
// what git describe says of a later commit after it. A commit alone is before all.
func debVersion(version string) string {
	v, ok := strings.CutPrefix(version, "v")
	if !ok || v == "" || v[0] < '0' || v[0] > '9' {
		return "0~git." + strings.ReplaceAll(version, "-", ".")
	}
	later := ""
	if m := regexp.MustCompile(`^(.*)-([0-9]+)-g([0-9a-f]+)$`).FindStringSubmatch(v); m != nil {
		v, later = m[1], "+"+m[2]+".g"+m[3]
	}
	return strings.ReplaceAll(strings.Replace(v, "-", "~", 1), "-", ".") + later
}

// inDebian gives files their places in a Debian system.
func inDebian(version string, files []file, at time.Time) ([]file, error) {
	log := fmt.Sprintf(debChangelog, debName, debVersion(version), maintainer, at.Format(time.RFC1123Z))
	files = append([]file{{"changelog", 0o644, []byte(log)}, {"copyright", 0o644, []byte(copyright)}, {"overrides", 0o644, []byte(overrides)}}, files...)
	var placed []file
	for _, f := range files {
		for _, p := range pathsInDebian {
			if !p.name.MatchString(f.name) {
				continue
			}
			to := file{p.name.ReplaceAllString(f.name, p.path), f.mode, f.data}
			if p.compressed {
				var err error
				if to.data, err = gzipped(f.data); err != nil {
					return nil, err
				}
			}
			placed = append(placed, to)
		}
	}
	slices.SortFunc(placed, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return placed, nil
}

func gzipped(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// control is what the package says of itself.
func control(version, arch string, files []file) []file {
	var size int
	var sums strings.Builder
	for _, f := range files {
		size += (len(f.data) + 1023) / 1024
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.name) // dpkg --verify reads these
	}
	about := fmt.Sprintf(`Package: %s
Version: %s
Architecture: %s
Maintainer: %s
Installed-Size: %d
Section: utils
Priority: optional
Description: moves container images between registries, files and a store
 dist pulls, pushes, copies, signs, verifies, packs, unpacks and serves
 container images and any other content that is named by its digest, and
 carries them across air gaps. It is one static binary, without a daemon.
`, debName, debVersion(version), arch, maintainer, size)
	return []file{{"./control", 0o644, []byte(about)}, {"./md5sums", 0o644, []byte(sums.String())}}
}

// ar is the format of a Debian package (deb(5)): members with headers of 60 bytes.
func ar(files []file, at time.Time) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, f := range files {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", f.name, at.Unix(), 0, 0, 0o100000|f.mode, len(f.data))
		b.Write(f.data)
		if len(f.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// debPackage makes a Debian package. Go and Debian have the same words for the
// processors that there are packages for.
func debPackage(version, arch string, files []file, at time.Time) ([]byte, error) {
	files, err := inDebian(version, files, at)
	if err != nil {
		return nil, err
	}
	about, err := tarGz(control(version, arch, files), at)
	if err != nil {
		return nil, err
	}
	tree := withFolders(files)
	for i := range tree {
		tree[i].name = "./" + tree[i].name
	}
	content, err := tarGz(append([]file{{"./", 0o755, nil}}, tree...), at)
	if err != nil {
		return nil, err
	}
	return ar([]file{{"debian-binary", 0o644, []byte("2.0\n")}, {"control.tar.gz", 0o644, about}, {"data.tar.gz", 0o644, content}}, at), nil
}

// writePackage writes the Debian package for a processor.
func (r *release) writePackage(s system, binary []byte) error {
	data, err := debPackage(r.version, s.arch, append([]file{{path.Base(s.program()), 0o755, binary}}, r.common...), r.time)
	if err != nil {
		return err
	}
	return r.write("dist_"+r.version+"_"+s.arch+".deb", data)
}
