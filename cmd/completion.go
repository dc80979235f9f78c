package cmd

import "embed"

// completionScripts are what shells are told, one for each. They know nothing of dist
// but how to ask it (complete.go), so that they stay right when verbs change.
//
//go:embed completion/dist.bash completion/dist.zsh completion/dist.fish
var completionScripts embed.FS

// completionCmd is `dist completion`.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help is the longer text of `dist completion --help`.
func (completionCmd) Help() string {
	return `The script has the shell ask dist at each Tab: for verbs, flags and the words that they take, for the names, digests, keys, sites and leases that are in the store, for the platforms of an image that was named before. Files and folders are the shell's own. It looks into the store that --store, DIST_STORE or the folder says, makes none, changes nothing, waits for nobody and asks no registry; what takes longer than a second is left out.

bash, for one session or in ~/.bashrc (the package bash-completion is not needed):

    source <(dist completion bash)

zsh, in ~/.zshrc below compinit, or as the file _dist in a folder of $fpath:

    source <(dist completion zsh)

fish, once:

    dist completion fish > ~/.config/fish/completions/dist.fish

Examples:

    $ dist completion bash > /etc/bash_completion.d/dist
    $ dist completion zsh > /usr/local/share/zsh/site-functions/_dist`
}

// Run prints the script.
func (c *completionCmd) Run(s *session) error {
	script, err := completionScripts.ReadFile("completion/dist." + c.Shell)
	if err != nil {
		return err
	}
	_, err = s.stdout.Write(script)
	return err
}
