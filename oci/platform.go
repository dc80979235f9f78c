package oci

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is the operating system and processor that content is for.
type Platform = v1.Platform

// ParsePlatform reads os/arch[/variant] and normalises it (x86_64 is amd64,
// arm64/v8 is arm64). Both parts are asked for: "arm64" alone is refused.
func ParsePlatform(s string) (Platform, error) {
	if strings.Count(s, "/") < 1 {
		return Platform{}, fmt.Errorf("platform %q: %w: want os/arch or os/arch/variant, for example linux/arm64", s, ErrInvalid)
	}
	p, err := platforms.Parse(s)
	if err != nil || p.OS == "" || p.Architecture == "" || knownOnlyAsArch(p.OS) {
		return Platform{}, fmt.Errorf("platform %q: %w: want os/arch or os/arch/variant, for example linux/arm64", s, ErrInvalid)
	}
	return platforms.Normalize(p), nil
}

// knownOnlyAsArch catches "arm/v7", which reads as operating system "arm".
func knownOnlyAsArch(os string) bool {
	switch os {
	case "arm", "armhf", "armel", "arm64", "aarch64", "amd64", "x86_64", "x86-64", "386", "i386",
		"ppc64le", "s390x", "riscv64", "loong64", "mips64le":
		return true
	}
	return false
}

// DefaultPlatform is what images are chosen for when nothing else is said: this
// machine's processor, and Linux, since that is what containers run on also
// where the host is macOS; Windows hosts get Windows.
func DefaultPlatform() Platform {
	p := platforms.DefaultSpec()
	p.OSVersion = ""
	if p.OS == "darwin" {
		p.OS = "linux"
	}
	return platforms.Normalize(p)
}

// FormatPlatform writes p as os/arch[/variant]; "" when p is nil.
func FormatPlatform(p *Platform) string {
	if p == nil || (p.OS == "" && p.Architecture == "") {
		return ""
	}
	return platforms.Format(Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
}

// SamePlatform says whether a and b are one platform in two spellings (arm64 and
// arm64/v8 are).
func SamePlatform(a, b Platform) bool {
	a, b = platforms.Normalize(a), platforms.Normalize(b)
	return a.OS == b.OS && a.Architecture == b.Architecture && a.Variant == b.Variant &&
		a.OSVersion == b.OSVersion && slices.Equal(a.OSFeatures, b.OSFeatures)
}

// IsAttestation says whether an index lists d as what a build tool says of one of its
// images: for a platform that nobody has.
func IsAttestation(d Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

// SelectPlatform picks from candidates the one for want: an exact match first,
// then what want's processor also runs, best first. Descriptors without a
// platform and those of attestations (unknown/unknown) are never picked. The
// second value is false when nothing fits.
func SelectPlatform(candidates []Descriptor, want Platform) (Descriptor, bool) {
	want = platforms.Normalize(want)
	var (
		best  Descriptor
		found bool
	)
	match := platforms.Only(want)
	for _, c := range candidates {
		if c.Platform == nil || c.Platform.OS == "unknown" {
			continue
		}
		p := platforms.Normalize(*c.Platform)
		if p.OS == want.OS && p.Architecture == want.Architecture && p.Variant == want.Variant &&
			(want.OSVersion == "" || p.OSVersion == want.OSVersion) {
			return c, true
		}
		if match.Match(p) && (!found || match.Less(p, platforms.Normalize(*best.Platform))) {
			best, found = c, true
		}
	}
	return best, found
}
