package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// nothing is SPDX's word for what this does not know.
const nothing = "NOASSERTION"

// The parts of SPDX 2.3 that are written.
type (
	spdx struct {
		Version       string         `json:"spdxVersion"`
		License       string         `json:"dataLicense"`
		ID            string         `json:"SPDXID"`
		Name          string         `json:"name"`
		Namespace     string         `json:"documentNamespace"`
		Creation      spdxCreation   `json:"creationInfo"`
		Packages      []spdxPackage  `json:"packages"`
		Relationships []spdxRelation `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID        string         `json:"SPDXID"`
		Name      string         `json:"name"`
		Version   string         `json:"versionInfo"`
		File      string         `json:"packageFileName,omitempty"`
		Purpose   string         `json:"primaryPackagePurpose"`
		Source    string         `json:"sourceInfo,omitempty"`
		Location  string         `json:"downloadLocation"`
		Analyzed  bool           `json:"filesAnalyzed"`
		Checksums []spdxChecksum `json:"checksums,omitempty"`
		Concluded string         `json:"licenseConcluded"`
		Declared  string         `json:"licenseDeclared"`
		Copyright string         `json:"copyrightText"`
		Refs      []spdxRef      `json:"externalRefs"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelation struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

// bill is the list of what the binaries were linked from, as they tell themselves.
type bill struct {
	binaries  []binary
	libraries map[string]spdxPackage // by their purl
}

type binary struct {
	system
	info *debug.BuildInfo
	sum  string
	uses []string // purls
}

// add takes in a binary, and what its build has recorded.
func (b *bill) add(s system, info *debug.BuildInfo, data []byte) {
	if b.libraries == nil {
		b.libraries = map[string]spdxPackage{}
	}
	one := binary{system: s, info: info, sum: fmt.Sprintf("%x", sha256.Sum256(data))}
	toolchain := strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")
	// The standard library is "stdlib" where vulnerabilities are looked up.
	one.uses = append(one.uses, b.library("stdlib", toolchain, "the Go toolchain "+info.GoVersion))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		one.uses = append(one.uses, b.library(m.Path, m.Version, "go.sum has "+m.Sum))
	}
	b.binaries = append(b.binaries, one)
}

// library notes a module and returns its purl. Its sum is one of Go's own, over the
// names and contents of files: no checksum of any file that SPDX could mean.
func (b *bill) library(path, version, source string) string {
	purl := purlOf(path, version)
	b.libraries[purl] = spdxPackage{
		ID: spdxID("Module", path, version), Name: path, Version: version, Purpose: "LIBRARY", Source: source,
		Location: nothing, Concluded: nothing, Declared: nothing, Copyright: nothing, Refs: []spdxRef{{"PACKAGE-MANAGER", "purl", purl}},
	}
	return purl
}

// purlOf is a module's package URL; "+incompatible" and the like are escaped.
func purlOf(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B")
}

// spdxID makes an identifier of words: SPDX wants letters, digits, dots and hyphens.
func spdxID(words ...string) string {
	return "SPDXRef-" + regexp.MustCompile(`[^0-9A-Za-z.]+`).ReplaceAllString(strings.Join(words, "-"), "-")
}

// encode makes the document. All in it follows from the commit and the binaries.
func (b *bill) encode(src source) ([]byte, error) {
	const document = "SPDXRef-DOCUMENT"
	all := sha256.New()
	doc := spdx{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: document, Name: "dist-" + src.version,
		Creation: spdxCreation{src.time.Format(time.RFC3339), []string{"Tool: dist-release"}},
	}
	for _, one := range b.binaries {
		all.Write([]byte(one.sum))
		p := one.describe(src)
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, spdxRelation{document, "DESCRIBES", p.ID})
		for _, purl := range one.uses {
			doc.Relationships = append(doc.Relationships, spdxRelation{p.ID, "DEPENDS_ON", b.libraries[purl].ID})
		}
	}
	doc.Packages = append(doc.Packages, slices.SortedFunc(maps.Values(b.libraries), func(a, b spdxPackage) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})...)
	// Two documents never share a namespace, which nobody has to be able to open.
	doc.Namespace = fmt.Sprintf("https://dist.example/spdx/dist-%s-%x", src.version, all.Sum(nil)[:16])
	data, err := json.MarshalIndent(doc, "", " ")
	return append(data, '\n'), err
}

// describe is the binary itself, as one of the packages.
func (one binary) describe(src source) spdxPackage {
	return spdxPackage{
		ID: spdxID("Binary", one.os, one.arch), Name: "dist", Version: src.version, File: one.program(), Purpose: "APPLICATION",
		Source:   fmt.Sprintf("the binary for %s, of commit %s", one.system, src.commit),
		Location: nothing, Checksums: []spdxChecksum{{"SHA256", one.sum}},
		Concluded: nothing, Declared: "Apache-2.0", Copyright: nothing,
		Refs: []spdxRef{{"PACKAGE-MANAGER", "purl", purlOf(one.info.Main.Path, src.version)}},
	}
}
