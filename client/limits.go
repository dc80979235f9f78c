package client

import (
	"os"
	"path/filepath"

	"dist.example/blobstore"
	"dist.example/content"
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

// pairs bounds the blobs that move at once from one place to another. Within one
// registry each of them takes two connections, and where these are limited, all
// could hold the first one and wait for the second.
func (c *Client) pairs(within bool, jobs int) int {
	limit := c.opts.Limits.Connections
	if !within || limit == 0 {
		return jobs
	}
	if jobs <= 0 {
		jobs = content.DefaultJobs
	}
	return max(1, min(jobs, limit/2))
}

// within says whether content moves between repositories of one registry.
func within(src, dst any) bool {
	from, ok1 := src.(fromRegistry)
	to, ok2 := dst.(*toRegistry)
	return ok1 && ok2 && from.ref.Registry == to.ref.Registry
}

// alone makes pushes to a place within src's registry end at once where there is
// no connection for them beside the one that their content comes by.
func (c *Client) alone(src, dst any) {
	if to, ok := dst.(*toRegistry); ok {
		to.alone = c.opts.Limits.Connections == 1 && within(src, dst)
	}
}
