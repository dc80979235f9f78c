package layer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"dist.example/oci"
)

// Settings change how an image is run: the field config of its configuration. What
// is not given stays; see IsZero. An empty list or text takes the field out.
type Settings struct {
	// Entrypoint takes out the command that was there, as Docker and crane do: it
	// was one for another program. Cmd, where it is given too, is the new one.
	Entrypoint, Cmd           *[]string
	User, WorkDir, StopSignal *string
	// Env has KEY=VALUE. A key that is there gets the new value in its place, once if
	// it was there more often; a new one goes to the end.
	Env     []string
	Labels  map[string]string // added, or in place of the value that a key had
	Expose  []string          // ports to add: PORT or PORT/tcp, /udp, /sctp
	Volumes []string          // absolute paths to add
}

// settingKeys are the fields that Settings change.
var settingKeys = []string{
	"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
}

// IsZero says whether nothing is given.
func (s Settings) IsZero() bool {
	return s.Entrypoint == nil && s.Cmd == nil && s.User == nil && s.WorkDir == nil && s.StopSignal == nil &&
		len(s.Env) == 0 && len(s.Labels) == 0 && len(s.Expose) == 0 && len(s.Volumes) == 0
}

// Configure changes the configuration of an image by s, and the manifest to have
// it. All else in both documents stays, fields that are not known here too; the
// history gets no step. Errors: ErrInvalid for settings that are malformed (see
// Check), and for a base whose configuration is none.
func Configure(b Base, s Settings) (config, manifest []byte, configDesc, manifestDesc oci.Descriptor, err error) {
	fail := func(err error) ([]byte, []byte, oci.Descriptor, oci.Descriptor, error) {
		return nil, nil, oci.Descriptor{}, oci.Descriptor{}, fmt.Errorf("configure image: %w", err)
	}
	m, err := oci.ParseManifest(b.MediaType, b.Manifest)
	if err != nil {
		return fail(err)
	}
	doc, err := s.configured(b.Config)
	if err != nil {
		return fail(err)
	}
	if config, manifest, configDesc, manifestDesc, err = b.renew(m, doc, len(m.Layers), nil); err != nil {
		return fail(err)
	}
	return config, manifest, configDesc, manifestDesc, nil
}

// configured is a configuration, changed by s.
func (s Settings) configured(config []byte) (*oci.Document, error) {
	fail := func(err error) (*oci.Document, error) {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := s.Check(); err != nil {
		return fail(err)
	}
	doc, err := oci.ParseDocument(config, "config")
	if err != nil {
		return fail(err)
	}
	raw := json.RawMessage("{}")
	if _, err := doc.Get("config", &raw); err != nil {
		return fail(err)
	}
	run, err := oci.ParseDocument(raw, settingKeys...)
	if err != nil {
		return fail(err)
	}
	if err := s.apply(run); err != nil {
		return fail(err)
	}
	if err := doc.Set("config", run); err != nil {
		return fail(err)
	}
	return doc, nil
}

// apply changes the fields, in the order in which a new configuration has them.
func (s Settings) apply(run *oci.Document) error {
	if s.Entrypoint != nil && s.Cmd == nil {
		run.Delete("Cmd")
	}
	for _, set := range []func() error{
		func() error { return setText(run, "User", s.User) },
		func() error { return oci.SetIn(run, "ExposedPorts", present(s.Expose, exposed)) },
		func() error { return setEnv(run, s.Env) },
		func() error { return setList(run, "Entrypoint", s.Entrypoint) },
		func() error { return setList(run, "Cmd", s.Cmd) },
		func() error { return oci.SetIn(run, "Volumes", present(s.Volumes, strings.Clone)) },
		func() error { return setText(run, "WorkingDir", s.WorkDir) },
		func() error { return oci.SetIn(run, "Labels", s.Labels) },
		func() error { return setText(run, "StopSignal", s.StopSignal) },
	} {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}

func setText(run *oci.Document, key string, text *string) error {
	switch {
	case text == nil:
		return nil
	case *text == "":
		run.Delete(key)
		return nil
	}
	return run.Set(key, *text)
}

func setList(run *oci.Document, key string, list *[]string) error {
	switch {
	case list == nil:
		return nil
	case len(*list) == 0:
		run.Delete(key)
		return nil
	}
	return run.Set(key, *list)
}

func setEnv(run *oci.Document, env []string) error {
	if len(env) == 0 {
		return nil
	}
	var list []string
	if _, err := run.Get("Env", &list); err != nil {
		return err
	}
	for _, pair := range env {
		key, _, _ := strings.Cut(pair, "=")
		same := func(old string) bool { return strings.HasPrefix(old, key+"=") }
		at := slices.IndexFunc(list, same)
		if at < 0 {
			list = append(list, pair)
			continue
		}
		list[at] = pair
		// Of several, others take the last one.
		list = append(list[:at+1], slices.DeleteFunc(list[at+1:], same)...)
	}
	return run.Set("Env", list)
}

// present are the names as the fields of an object that says which there are.
func present(names []string, spell func(string) string) map[string]struct{} {
	fields := map[string]struct{}{}
	for _, n := range names {
		fields[spell(n)] = struct{}{}
	}
	return fields
}

// exposed is a port as configurations spell it.
func exposed(port string) string {
	if strings.Contains(port, "/") {
		return port
	}
	return port + "/tcp"
}
