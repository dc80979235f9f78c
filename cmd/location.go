package cmd

import (
	"fmt"
	"os"
	"path/filepath"

	"dist.example/content"
)

// localStore is the folder that marks a directory with a store of its own.
const localStore = ".content"

// storeFolder says which store a verb works on: the one that was given by
// --store or DIST_STORE, else ./.content if it is there, else dist in the
// user's data folder. It creates nothing.
func storeFolder(given string, getenv func(string) string) (string, error) {
	if given != "" {
		return given, nil
	}
	if fi, err := os.Stat(localStore); err == nil && fi.IsDir() {
		return localStore, nil
	}
	data, err := dataFolder(getenv)
	if err != nil {
		return "", err
	}
	return filepath.Join(data, "dist"), nil
}

// dataFolder is $XDG_DATA_HOME, or ~/.local/share where that is unset or not
// absolute, as the base directory specification has it.
func dataFolder(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", content.WithHint(fmt.Errorf("find the user's data folder: %w", content.ErrNoStore),
			"say where the store is with --store DIR or DIST_STORE")
	}
	return filepath.Join(home, ".local", "share"), nil
}

// configFolder is $XDG_CONFIG_HOME, or ~/.config, see dataFolder; "" where there is
// neither.
func configFolder(getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config")
}
