package cmd

import (
	"slices"

	"github.com/alecthomas/kong"
)

const description = "dist moves container images and any other content between registries, files and a local store. " +
	"Content is named by its digest and checked whenever it is read; names such as docker.io/library/redis:latest point to it."

// globalFlags are taken by every verb, before or after its name.
type globalFlags struct {
	Store    string       `group:"global" placeholder:"DIR" env:"DIST_STORE" complete:"dir" help:"Folder of the store. Without it ./.content is used if it is there, else dist in the data folder ($$XDG_DATA_HOME, or ~/.local/share)."`
	Format   outputFormat `group:"global" placeholder:"FORMAT" default:"table" env:"DIST_FORMAT" help:"How results and errors are printed: table, json (one document), jsonl (one document a line); go-template=TEXT (a line for each item of a listing, or for the one result), with the names of the JSON fields."`
	Progress progressMode `group:"global" placeholder:"KIND" default:"auto" env:"DIST_PROGRESS" help:"Progress on stderr: auto (bars on a terminal, else plain), plain (a line every 10 s), json (a line for each event), none (nor the closing line)."`
	Color    colorMode    `group:"global" placeholder:"WHEN" default:"auto" help:"Colour on stderr: auto, always, never. NO_COLOR and CLICOLOR_FORCE are honoured."`
}

// words stand in the help of arguments and flags as ${word}: what many of them say is said
// in one way.
func words() map[string]string {
	return map[string]string{
		"ids":    "ids",
		"id":     "a digest, a name, or the first 6 or more hex digits of a digest",
		"key":    "a label, an id or its first 8 digits, a file, or PLUGIN://KEY",
		"repeat": "May be repeated.",
	}
}

// quietFlag is for verbs that print what other verbs take: with it that alone, whatever
// the format. A verb whose ids have a word of their own sets it: set:"ids=names".
type quietFlag struct {
	Quiet bool `short:"q" help:"Print ${ids} only, one a line."`
}

func groups() []kong.Group {
	return []kong.Group{
		{Key: "content", Title: "Content, named by digest:"},
		{Key: "names", Title: "Names:"},
		{Key: "remote", Title: "Registries:"},
		{Key: "author", Title: "Making and looking into images:"},
		{Key: "trust", Title: "Signatures and trust:"},
		{Key: "airgap", Title: "Across an air gap:"},
		{Key: "ask", Title: "Asking what is here:"},
		{Key: "store", Title: "The store and this program:"},
		{Key: "network", Title: "Network flags:"},
		{Key: "global", Title: "Global flags:"},
	}
}

// verb is one word of the command line.
type verb struct {
	name, group, help string
	cmd               any // a pointer to the struct that takes its flags and runs it
}

// verbs are all of them, in the order of the help.
func verbs() []verb {
	return []verb{
		{"put", "content", "Store a file, or stdin, and print its id.", new(putCmd)},
		{"get", "content", "Write content to stdout or to a file, or tell about it.", new(getCmd)},
		{"ingest", "content", "Verify and store what comes on stdin, under a key.", new(ingestCmd)},
		{"active", "content", "List the content that is on its way into the store.", new(activeCmd)},
		{"list", "content", "List the content of the store.", new(listCmd)},
		{"path", "content", "Print the path of a file that holds the content.", new(pathCmd)},
		{"delete", "content", "Remove content, all of it as one set.", new(deleteCmd)},

		{"images", "names", "List names and what they stand for.", new(imagesCmd)},
		{"tag", "names", "Give content a name.", new(tagCmd)},
		{"remove", "names", "Drop names; the content stays.", new(removeCmd)},
		{"log", "names", "List the changes of names, the newest first.", new(logCmd)},
		{"undo", "names", "Undo the last changes of names.", new(undoCmd)},
		{"pin", "names", "Keep names from going to make room.", new(pinCmd)},
		{"unpin", "names", "Let go of names that were pinned.", new(unpinCmd)},

		{"login", "remote", "Keep a user name and password for a registry that takes them.", new(loginCmd)},
		{"logout", "remote", "Forget the credentials for a registry.", new(logoutCmd)},
		{"pull", "remote", "Bring images from their registries into the store.", new(pullCmd)},
		{"push", "remote", "Send an image to a registry.", new(pushCmd)},
		{"copy", "remote", "Copy an image from one place to another, past the store.", new(copyCmd)},
		{"sync", "remote", "Bring many images, or all tags that fit, to another registry.", new(syncCmd)},
		{"resolve", "remote", "Ask a registry for the digest of a name.", new(resolveCmd)},
		{"tags", "remote", "List the tags of a repository.", new(tagsCmd)},
		{"fetch", "remote", "Bring an image into the store, or print one object of a repository.", new(fetchCmd)},
		{"fetch-object", "remote", "Print one object of a repository.", new(fetchObjectCmd)},

		{"pack", "author", "Make an image, an artifact or an index of files and content put before, or add to one.", new(packCmd)},
		{"tree", "author", "Show what is about an image: signatures, attestations, SBOMs and the like.", new(treeCmd)},
		{"attach", "author", "Attach files to an image: an SBOM, a report, anything that is about it.", new(attachCmd)},
		{"inspect", "author", "Show what a manifest, an index or a configuration says.", new(inspectCmd)},
		{"squash", "author", "Make one layer of those of an image.", new(squashCmd)},
		{"diff", "author", "Tell in what two images differ: layers, configuration, files.", new(diffCmd)},
		{"ls", "author", "List the files of an image.", new(lsCmd)},
		{"cat", "author", "Print files of an image.", new(catCmd)},
		{"cp", "author", "Copy a file or folder of an image to the disk.", new(cpCmd)},
		{"repack", "author", "Make an image of what has changed in an unpacked folder.", new(repackCmd)},
		{"unpack", "author", "Make a folder that has the root filesystem of an image.", new(unpackCmd)},

		{"key", "trust", "Make, list, import and remove keys.", new(keyCmd)},
		{"sign", "trust", "Sign a manifest for its name.", new(signCmd)},
		{"verify", "trust", "Say which key vouches for a name, and why other signatures do not count.", new(verifyCmd)},
		{"trust", "trust", "Say whose signatures count for which names.", new(trustCmd)},

		{"export", "airgap", "Write images with all about them into a file that other programs load, too.", new(exportCmd)},
		{"import", "airgap", "Bring what a bundle or an archive in a file holds into the store.", new(importCmd)},
		{"site", "airgap", "Know what receiving sites have: add, list, show, update and forget them; write a receipt.", new(siteCmd)},
		{"lock", "airgap", "Write down which digests names stand for now, or say what has moved since.", new(lockCmd)},

		{"query", "ask", "Answer a SELECT over what the store knows.", new(queryCmd)},
		{"search", "ask", "Find names and what manifests say by words.", new(searchCmd)},

		{"init", "store", "Make a store in ./.content, or where --store says.", new(initCmd)},
		{"store", "store", "Tell about the store as a whole; say what it is to do; back it up, restore and compact it.", new(storeCmd)},
		{"gc", "store", "Give back what nothing needs any more.", new(gcCmd)},
		{"check", "store", "Check all content and the catalog; make the catalog anew.", new(checkCmd)},
		{"repair", "store", "Fetch again what is damaged or missing, and no more than that.", new(repairCmd)},
		{"du", "store", "Tell what names take on disk, and what removing them frees.", new(duCmd)},
		{"why", "store", "Tell what keeps content from being collected.", new(whyCmd)},
		{"lease", "store", "Keep content for a time: list, make, renew and end leases.", new(leaseCmd)},
		{"serve", "store", "Serve the store as a registry.", new(serveCmd)},
		{"help", "store", "Tell about a verb or a topic, or list both.", new(helpCmd)},
		{"completion", "store", "Print what has a shell complete the command line of dist.", new(completionCmd)},
		{"man", "store", "Print pages of the manual, or write all of them.", new(manCmd)},
		{"version", "store", "Print version, Go and platform.", new(versionCmd)},
	}
}

// spoken are the verbs that occur among args. Building the parser is most of
// what a start costs, and one verb is all that a call needs; where none occurs,
// all are there to be listed or guessed at.
func spoken(args []string) []verb {
	all := verbs()
	var some []verb
	for _, v := range all {
		if slices.Contains(args, v.name) {
			some = append(some, v)
		}
	}
	if len(some) == 0 {
		return all
	}
	return some
}
