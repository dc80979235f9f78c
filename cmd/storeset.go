package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// storeSetCmd is `dist store set`.
type storeSetCmd struct {
	Setting []string `arg:"" optional:"" sep:"none" placeholder:"KEY=VALUE" complete:"setting" help:"Settings: quota=20G, grace=1h, keep-history=14d. An empty value is the default; quota=none is no quota."`
}

// Help is the longer text of `dist store set --help`.
func (storeSetCmd) Help() string {
	return `quota: how many bytes the store may take: packs, files and what is on its way in; the catalog is not counted. K, M, G and T are powers of 1024, with or without B or iB. What would not fit is refused before its first byte (exit 9). So is, with a quota or without, what would not fit on the disk; a command that has written says when less than 1 GiB is left there. No quota by default.

grace: how long a garbage collection leaves alone what came in or was written again, whether or not anything holds it, and files that nothing points to. 1h by default.

keep-history: how long it keeps what a name stood for before it was moved or removed, which takes room under the quota as all else does. With 0s nothing of that can be undone. 14d by default.

All settings of one call are set, or none. They are kept in the packs too, so that "dist check --rebuild" brings them back. "dist store info" shows them.

Examples:

    $ dist store set quota=20G
    $ dist store set grace=30m keep-history=7d
    $ dist store set quota=none`
}

// settingKey is a setting that can be set.
type settingKey struct {
	key, example string
	// set reads a value; an empty one is the default.
	set func(to *client.Settings, value string) error
	get func(client.Settings) string
}

func settingKeys() []settingKey {
	usual := client.DefaultSettings()
	return []settingKey{
		{
			"quota", "20G",
			func(to *client.Settings, value string) (err error) { to.Quota, err = quotaOf(value); return err },
			func(s client.Settings) string { return quotaText(s.Quota) },
		},
		{
			"grace", "1h",
			func(to *client.Settings, value string) (err error) {
				to.Grace, err = spanOf(value, usual.Grace)
				return err
			},
			func(s client.Settings) string { return spanText(s.Grace) },
		},
		{
			"keep-history", "14d",
			func(to *client.Settings, value string) (err error) {
				to.KeepHistory, err = spanOf(value, usual.KeepHistory)
				return err
			},
			func(s client.Settings) string { return spanText(s.KeepHistory) },
		},
	}
}

// quotaOf reads 20G, 20GB and 20GiB, which are the same.
func quotaOf(value string) (int64, error) {
	if value == "" || value == "none" {
		return 0, nil
	}
	var b byteSize
	if err := b.UnmarshalText([]byte(value)); err != nil {
		return 0, err
	}
	if b == 0 {
		return 0, usagef("a quota of nothing; without one is quota=none")
	}
	return int64(b), nil
}

func quotaText(quota int64) string {
	if quota == 0 {
		return "none"
	}
	return oci.HumanSize(quota)
}

// spanOf reads a length of time in whole milliseconds.
func spanOf(value string, usual time.Duration) (time.Duration, error) {
	if value == "" {
		return usual, nil
	}
	var s span
	err := s.UnmarshalText([]byte(value))
	return time.Duration(s).Truncate(time.Millisecond), err
}

// spanText is what spanOf reads: 14d, 1h, 90s.
func spanText(d time.Duration) string {
	const day = 24 * time.Hour
	if d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// parse reads the arguments: what is to be done to the settings.
func (c *storeSetCmd) parse() (func(*client.Settings), error) {
	keys := settingKeys()
	if len(c.Setting) == 0 {
		return nil, usagef("nothing to set: %s", settingsThereAre(keys))
	}
	var (
		wanted client.Settings
		set    []func(*client.Settings)
		seen   = map[string]bool{}
	)
	for _, arg := range c.Setting {
		key, value, ok := strings.Cut(arg, "=")
		i := slices.IndexFunc(keys, func(k settingKey) bool { return k.key == key })
		switch {
		case !ok:
			return nil, usagef("%q is no KEY=VALUE: %s", arg, settingsThereAre(keys))
		case i < 0:
			return nil, usagef("there is no setting %q: %s", key, settingsThereAre(keys))
		case seen[key]:
			return nil, usagef("%s is set twice", key)
		}
		seen[key] = true
		if err := keys[i].set(&wanted, value); err != nil {
			return nil, usagef("%s: %v; %s", key, err, settingsThereAre(keys))
		}
		set = append(set, func(to *client.Settings) { _ = keys[i].set(to, value) }) // it was read before
	}
	return func(to *client.Settings) {
		for _, do := range set {
			do(to)
		}
	}, nil
}

// settingsThereAre lists the settings with an example each.
func settingsThereAre(keys []settingKey) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.key+"="+k.example)
	}
	return "settings are " + joinWords(all)
}

// Run sets, and prints all settings as they are then.
func (c *storeSetCmd) Run(s *session) error {
	change, err := c.parse()
	if err != nil {
		return err
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	now, err := dist.SetSettings(s.ctx, change)
	if err != nil {
		return err
	}
	return s.object(newSettingsJSON(now), func(w io.Writer) error { return printFields(w, settingFields(now)) })
}

// settingsJSON are the settings of a store; a quota of 0 is none.
type settingsJSON struct {
	Quota       int64   `json:"quota"`
	Grace       float64 `json:"graceSeconds"`
	KeepHistory float64 `json:"keepHistorySeconds"`
}

func newSettingsJSON(s client.Settings) settingsJSON {
	return settingsJSON{s.Quota, s.Grace.Seconds(), s.KeepHistory.Seconds()}
}

func settingFields(s client.Settings) (fields [][2]string) {
	for _, k := range settingKeys() {
		fields = append(fields, [2]string{k.key, k.get(s)})
	}
	return fields
}
