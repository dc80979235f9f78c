package client

import (
	"os"
	"path/filepath"

	"dist.example/blobstore"
)

// budgetDirs lists where limits are shared with other processes: in the store,
// else in the user's state folder. It is called when the first request is about to
// be sent, so that a store that a pull makes counts.
func (c *Client) budgetDirs() []string {
	var dirs []string
	if dir := blobstore.BudgetsDir(c.opts.Store); dir != "" {
		dirs = append(dirs, dir)
	}
	if state := stateFolder(); state != "" {
		dirs = append(dirs, filepath.Join(state, "dist", "budgets"))
	}
	return dirs
}

// stateFolder is $XDG_STATE_HOME, or ~/.local/state where that is unset or not
// absolute, as the base directory specification has it; "" without a home.
func stateFolder() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state")
}
