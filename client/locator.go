package client

import (
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/plugin"
)

// The transports that locators name.
const (
	TransportRegistry = "docker" // docker://REFERENCE, or a reference alone
	TransportStore    = "store"  // the store's own names
	TransportBundle   = "bundle" // bundle:PATH[:NAME], an archive or a layout in place
)

// Locator says where an image is, or is to go: a transport and a place that this
// transport understands.
type Locator struct {
	Transport string
	Place     string
	// Reference is what Place says, of a registry and of the store.
	Reference oci.Reference
}

// String is the locator as ParseLocator takes it.
func (l Locator) String() string {
	switch l.Transport {
	case TransportRegistry:
		return l.Reference.String()
	case TransportStore:
		_, when, past := strings.Cut(l.Place, momentMark)
		if past {
			when = momentMark + when
		}
		return TransportStore + ":" + l.Reference.String() + when
	}
	return l.Transport + ":" + l.Place
}

// ParseLocator reads a locator:
//
//	docker://REFERENCE      a registry
//	store:NAME              the local store; NAME@{WHEN} what the name was, see Lookup
//	oci:DIR[:TAG] …         what known says is a transport
//	REFERENCE               a registry
//
// known is asked about words of lower case letters, digits and hyphens before a
// colon. A reference whose repository is called as a transport, such as oci:v1, is
// written with docker:// or with its host; so is one that is called as a transport which
// other tools have and known does not know: that is refused. Errors: ErrInvalid.
func ParseLocator(s string, known func(transport string) bool) (Locator, error) {
	if rest, ok := strings.CutPrefix(s, TransportRegistry+"://"); ok {
		return registryLocator(rest)
	}
	name, place, ok := strings.Cut(s, ":")
	switch {
	case !ok || !plugin.Valid(name):
	case name == TransportStore:
		ref, _, err := parseNamed(place)
		if err != nil {
			return Locator{}, fmt.Errorf("locator %q: %w", s, err)
		}
		return Locator{TransportStore, place, ref}, nil
	case known(name):
		if place == "" {
			return Locator{}, fmt.Errorf("locator %q: %w: nothing follows the colon", s, content.ErrInvalid)
		}
		return Locator{Transport: name, Place: place}, nil
	case foreignTransports[name] != "":
		return Locator{}, content.WithHint(fmt.Errorf("locator %q: %w: %s: is a transport of other tools", s, content.ErrInvalid, name),
			"%s; a program dist-transport-%s on PATH would add it", foreignTransports[name], name)
	}
	return registryLocator(s)
}

// foreignTransports are those of skopeo, podman and regctl that are not ours, with what does
// here. Taken for repositories of Docker Hub, as their words read otherwise, they would
// send an image that was for this machine to a registry.
var foreignTransports = map[string]string{
	"containers-storage": "`podman save --format oci-archive IMAGE | dist import -` brings it in",
	"dir":                "oci:DIR:TAG is a folder",
	"docker-daemon":      "`docker save IMAGE | dist import -` brings it in, docker-archive:FILE is what docker loads",
	"ocidir":             "oci:DIR:TAG is such a folder",
	"ostree":             "oci:DIR:TAG is a folder",
	"sif":                "oci-archive:FILE is a file",
}

func registryLocator(s string) (Locator, error) {
	ref, err := oci.ParseReference(s)
	return Locator{TransportRegistry, s, ref}, err
}
