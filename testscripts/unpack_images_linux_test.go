package testscripts

import (
	"archive/tar"
	"strings"
)

// The value of security.capability for cap_net_raw+ep, in its version 2 and little endian.
const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// A POSIX ACL that lets user 1000 read, for a file of mode 0640.
const accessACL = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\xe8\x03\x00\x00" + "\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"

const overlay = "what overlayfs keeps for itself would have an image say what lies elsewhere in a mount; umoci leaves it out, too"

const aufs = "image-spec: no file system has a name that begins with .wh.; those of AUFS are for nobody else"

func madeImages() []madeImage {
	return []madeImage{
		{
			name: "kinds",
			layers: [][]layerMember{{
				aFolder(".", 0o750).of(7, 8),
				aFile("empty", "", 0o644), aFile("closed", "x", 0),
				aFile("setuid", "x", 0o4755), aFile("setgid", "x", 0o2711).of(12, 34), aFile("both", "x", 0o6755).of(1000, 1000),
				aFolder("sticky", 0o1777), aFolder("setgid-folder", 0o2775).of(0, 50), aFile("setgid-folder/in", "x", 0o600),
				aFolder("closed-folder", 0), aFile("closed-folder/in", "x", 0o400),
				aFile("theirs", "x", 0o640).of(12345, 54321), aFile("last", "x", 0o640).of(1<<32-2, 1<<31),
				aLink("link", "setuid").of(5, 6), aLink("nowhere", "/no/where"), aLink("up", "../../.."),
				aDevice(tar.TypeFifo, "pipe", 0, 0), aDevice(tar.TypeChar, "null", 1, 3).of(0, 5),
				aDevice(tar.TypeBlock, "disk", 259, 70000), aDevice(tar.TypeChar, "far", 4095, 255),
			}},
		},
		{
			name: "hard links",
			layers: [][]layerMember{
				{
					aFile("a", "a", 0o644).of(3, 4), aHardLink("a2", "a"), aFolder("d", 0o755), aHardLink("d/a3", "./a2"),
					aLink("link", "a"), aHardLink("link2", "link"), aDevice(tar.TypeFifo, "pipe", 0, 0), aHardLink("pipe2", "pipe"),
					aDevice(tar.TypeChar, "null", 1, 3), aHardLink("d/null2", "/null"), aFile("b", "b", 0o644), aHardLink("b2", "b"),
				},
				{aHardLink("a4", "a"), aFile("b", "new", 0o600), aWhiteout("d/null2"), aHardLink("d/pipe3", "pipe"), aHardLink("b3", "b2")},
			},
		},
		{
			name:  "times",
			known: []knownDiff{{"umoci", "2400", "time", "nanoseconds since 1970 in 64 bits end in 2262"}},
			layers: [][]layerMember{{
				aFile("nanoseconds", "x", 0o644).at(1_600_000_000, 123456789), aFile("1969", "x", 0o644).at(-1, 0),
				aFile("1969.5", "x", 0o644).at(-1, 500_000_000), aFile("1904", "x", 0o644).at(-2_082_844_800, 1),
				aFile("0", "x", 0o644).at(0, 0), aFile("2039", "x", 0o644).at(2_177_452_800, 999999999), aFile("2400", "x", 0o644).at(13_569_465_600, 0),
				aLink("link", "0").at(1_500_000_000, 987654321), aFolder("folder", 0o755).at(1_400_000_000, 5), aFile("folder/in", "x", 0o644),
				aDevice(tar.TypeFifo, "pipe", 0, 0).at(1, 1),
			}},
		},
		{
			name: "names",
			layers: [][]layerMember{{
				aFile("./dot", "x", 0o644), aFile("/slash", "x", 0o644), aFile("a b\tc\nd\\e*?[x]\"'", "x", 0o644), aFile("-f", "x", 0o644), aFile("a.wh.b", "x", 0o644), aFile(".whx", "x", 0o644),
				aFile(strings.Repeat("p", 200), "x", 0o644).as(tar.FormatPAX), aFile(strings.Repeat("g", 200), "x", 0o644).as(tar.FormatGNU),
				aFile(strings.Repeat("long/", 60)+"pax", "x", 0o644).as(tar.FormatPAX), aFile(strings.Repeat("gnu/", 60)+"gnu", "x", 0o644).as(tar.FormatGNU),
				aLink("far", strings.Repeat("../", 100)+"x").as(tar.FormatPAX), aLink("farther", strings.Repeat("/x", 150)).as(tar.FormatGNU),
				aHardLink("hard", strings.Repeat("p", 200)).as(tar.FormatPAX),
				aFile("gr\xfc\xdfe", "latin", 0o644).as(tar.FormatGNU), aFile("grüße", "utf", 0o644), aFile("\xff\xfe", "x", 0o644).as(tar.FormatPAX),
			}},
		},
		{
			name: "xattrs",
			known: []knownDiff{
				{"umoci", "u", "xattr user.none", "it drops what has no bytes; tar keeps it, as do file systems"},
				{"tar", "d", "xattr user.d", "of a folder that was there it sets attributes and removes none; image-spec: they MUST be replaced"},
			},
			layers: [][]layerMember{
				{
					aFile("ping", "x", 0o755).xattrs("security.capability", netRaw), aFile("u", "x", 0o4755).of(9, 9).xattrs("user.a", "1", "user.zero", "a\x00b", "user.none", ""),
					aFolder("d", 0o755).xattrs("user.d", "1"), aFolder("kept", 0o755).xattrs("user.d", "1"), aLink("link", "u").xattrs("trusted.l", "1"),
					aFile("again", "x", 0o644).xattrs("user.a", "1"), aHardLink("ping2", "ping"), aFile("r", "x", 0o400).xattrs("user.r", "x"),
				},
				{aFolder("d", 0o755), aFile("kept/x", "x", 0o644), aFile("again", "x", 0o644)},
			},
		},
		{
			name: "implied folders",
			layers: [][]layerMember{
				{aFile("a/b/c", "x", 0o644), aFile("later/in", "x", 0o644)},
				{aFile("a/b2/c", "x", 0o644), aFolder("later", 0o700).of(1, 1)},
			},
		},
		{
			name: "given twice",
			layers: [][]layerMember{{
				aFile("f", "1", 0o644), aFile("f", "22", 0o600), aFile("l", "1", 0o644), aLink("l", "f"), aLink("m", "f"), aFile("m", "2", 0o644),
				aFolder("d", 0o700), aFile("d/in", "x", 0o644), aFolder("d", 0o755).of(2, 2), aFile("h", "1", 0o644), aHardLink("h2", "h"), aFile("h", "2", 0o644),
			}},
		},
		{
			name:  "whiteouts",
			known: []knownDiff{{"umoci", "new2", "time", "a whiteout behind the folder's own entry changes the folder, whose time it set before"}},
			layers: [][]layerMember{
				{
					aFile("file", "1", 0o644), aFolder("folder", 0o755), aFile("folder/in", "1", 0o644), aFolder("folder/deep", 0o755), aFile("folder/deep/in", "1", 0o644),
					aLink("link", "target"), aFile("target", "1", 0o644), aFile("name", "1", 0o644), aHardLink("name2", "name"), aDevice(tar.TypeChar, "null", 1, 3),
					aFolder("opaque", 0o755), aFile("opaque/old", "1", 0o644), aFolder("opaque/olds", 0o755), aFile("opaque/olds/in", "1", 0o644), aFile("opaque/same", "1", 0o644),
					aFolder("late", 0o755), aFile("late/old", "1", 0o644), aFile("before", "1", 0o644), aFile("after", "1", 0o644),
					aFolder("new", 0o700), aFile("new/old", "1", 0o644), aFolder("new2", 0o700), aFile("new2/old", "1", 0o644), aFolder("linked", 0o755), aFile("linked/in", "1", 0o644), aLink("way", "linked"),
				},
				{
					aWhiteout("file"), aWhiteout("folder"), aWhiteout("link"), aWhiteout("name"), aWhiteout("null"), aWhiteout("never"), aWhiteout("no/such/thing"),
					aFolder("opaque", 0o755), anOpaque("opaque"), aFile("opaque/new", "2", 0o644), aFile("opaque/same", "2", 0o644),
					aFile("late/new", "2", 0o644), anOpaque("late"), aFile("before", "2", 0o644), aWhiteout("before"), aWhiteout("after"), aFile("after", "2", 0o644),
					aWhiteout("new"), aFolder("new", 0o755), aFile("new/new", "2", 0o644), aFolder("new2", 0o755), aFile("new2/new", "2", 0o644), aWhiteout("new2"),
					aWhiteout("way"),
				},
				{aFile("file", "3", 0o600), anOpaque("never2"), aFolder("folder", 0o711)},
			},
		},
		{
			name: "other types",
			layers: [][]layerMember{
				{
					aFolder("folder-file", 0o755), aFile("folder-file/in", "1", 0o644), aFolder("folder-link", 0o755), aFile("folder-link/in", "1", 0o644),
					aFile("file-folder", "1", 0o644), aLink("link-folder", "real"), aFolder("real", 0o755), aFile("real/in", "1", 0o644), aFile("file-link", "1", 0o644),
					aLink("link-file", "real/in"), aFolder("folder-pipe", 0o755), aFile("folder-pipe/in", "1", 0o644), aFile("hard", "1", 0o644), aHardLink("hard2", "hard"),
				},
				{
					aFile("folder-file", "2", 0o644), aLink("folder-link", "real"), aFolder("file-folder", 0o755), aFile("file-folder/in", "2", 0o644),
					aFolder("link-folder", 0o700), aFile("link-folder/new", "2", 0o644), aLink("file-link", "real"), aFile("link-file", "2", 0o644),
					aDevice(tar.TypeFifo, "folder-pipe", 0, 0), aFolder("hard", 0o755),
				},
			},
		},
		{
			name: "links on the way",
			layers: [][]layerMember{
				{
					aFolder("usr", 0o755), aFolder("usr/lib", 0o755), aFile("usr/lib/old", "1", 0o644), aFile("usr/lib/gone", "1", 0o644), aLink("lib", "usr/lib"),
					aFolder("was", 0o755), aFile("was/in", "1", 0o644), aFolder("real", 0o755), aFile("real/in", "1", 0o644),
				},
				{aFile("lib/new", "2", 0o644), aWhiteout("lib/gone"), aHardLink("lib/hard", "lib/old"), aLink("was", "real"), aFile("was/new", "2", 0o644), aFolder("lib/sub", 0o755)},
			},
		},
		{
			name: "hard links again",
			layers: [][]layerMember{
				{aFile("a", "a", 0o644), aHardLink("a2", "a"), aFile("c", "c", 0o644), aFile("d", "d", 0o644), aHardLink("d2", "d"), aFile("e", "e", 0o644)},
				{
					aHardLink("a2", "a"), aFile("c", "new", 0o600), aHardLink("c2", "c"), aHardLink("e", "d"),
					aFile("late", "late", 0o4711), aHardLink("late2", "late"), aFile("late", "later", 0o644),
				},
			},
		},
		{
			name:   "hard links to what goes",
			noTar:  "whiteouts go before its entries, and with them what b2 is to be a name of",
			layers: [][]layerMember{{aFile("b", "b", 0o644)}, {aHardLink("b2", "b"), aWhiteout("b")}},
		},
		{
			name:  "links that lead up",
			noTar: "it follows links out of the folder",
			layers: [][]layerMember{
				{
					aFolder("usr", 0o755), aFolder("usr/lib", 0o755), aFile("usr/lib/old", "1", 0o644), aFile("usr/lib/gone", "1", 0o644), aLink("lib", "/usr/lib"),
					aFolder("a", 0o755), aLink("a/up", "../usr"), aLink("out", "../../../usr"), aLink("twice", "a/up"), aLink("missing", "is/not/there"),
					aFolder("opaque", 0o755), aFile("opaque/old", "1", 0o644), aLink("to-opaque", "/opaque"),
				},
				{
					aFile("lib/new", "2", 0o644), aWhiteout("lib/gone"), aHardLink("hard", "lib/old"), aFile("a/up/new", "2", 0o644), aFile("out/out", "2", 0o644),
					aFile("twice/lib/twice", "2", 0o644), aFile("missing/in", "2", 0o644), anOpaque("to-opaque"), aFile("to-opaque/new", "2", 0o644),
				},
			},
		},
		{
			// image-spec says nothing of it: to dist a file gives way to the folder that an
			// entry of an upper layer is in, as it does to the entry of a folder.
			name:    "a file on the way",
			noTar:   "it refuses that",
			noUmoci: "it refuses that",
			layers:  [][]layerMember{{aFile("f", "1", 0o644), aFile("g", "1", 0o644)}, {aFile("f/in", "2", 0o644)}},
		},
		{
			name: "marks of AUFS",
			known: []knownDiff{
				{"umoci", ".wh..wh.plnk", "type", aufs}, {"umoci", ".wh..wh.plnk/1.2", "type", aufs},
			},
			layers: [][]layerMember{
				{aFile(".wh..wh.aufs", "", 0o444), aFolder(".wh..wh.plnk", 0o700), aFile(".wh..wh.plnk/1.2", "x", 0o644), aFolder(".wh..wh.orph", 0o700), aFile("kept", "x", 0o644)},
				{aFile(".wh..wh.aufs", "", 0o444), aFile("new", "x", 0o644)},
			},
		},
		{
			name: "the root",
			layers: [][]layerMember{
				{aFolder(".", 0o700), aFile("a", "1", 0o644), aFolder("d", 0o755), aFile("d/in", "1", 0o644)},
				{aFolder(".", 0o1755).of(3, 3).xattrs("user.root", "x"), aFile(".wh..wh..opq", "", 0o644), aFile("b", "2", 0o644)},
			},
		},
		{
			name: "ACLs",
			layers: [][]layerMember{{
				aFile("f", "1", 0o640).xattrs("system.posix_acl_access", accessACL), aFolder("d", 0o755).xattrs("system.posix_acl_default", accessACL),
				aFile("d/plain", "1", 0o664), aFolder("d/sub", 0o755),
			}},
		},
		{
			name: "odd spellings",
			layers: [][]layerMember{
				{
					aFolder("d/.", 0o711), aFile("d//x", "1", 0o644), aFile("./d/./y", "1", 0o644), aHardLink("/h", "./d//x"),
					aFile("before1970", "x", 0o644).at(-5, 0).as(tar.FormatGNU), aFile("big", "x", 0o644).of(1<<31, 1<<31).as(tar.FormatGNU), aFile("0000", "x", 0o7777),
				},
				{aFile("./d/.wh.y", "", 0o644), aFile("/d/z", "2", 0o644)},
			},
		},
		{
			name:  "given twice as another type",
			noTar: "it puts nothing in the place of a folder",
			layers: [][]layerMember{{
				aFile("file-folder", "1", 0o644), aFolder("file-folder", 0o711), aFile("file-folder/in", "2", 0o644),
				aFolder("folder-file", 0o755), aFile("folder-file/in", "1", 0o644), aFile("folder-file", "2", 0o600),
				aFolder("real", 0o755), aLink("link-folder", "real"), aFolder("link-folder", 0o700), aFile("link-folder/in", "2", 0o644),
				aFolder("folder-link", 0o755), aFile("folder-link/in", "1", 0o644), aLink("folder-link", "real"), aFile("folder-link/through", "2", 0o644),
			}},
		},
		{
			name:  "whiteouts by way of links",
			noTar: "whiteouts go before its entries, and with them the folder that one of these leads to",
			layers: [][]layerMember{
				{
					aFolder("usr", 0o755), aFolder("usr/lib", 0o755), aFile("usr/lib/old", "1", 0o644), aLink("lib", "usr/lib"),
					aFolder("was", 0o755), aFile("was/in", "1", 0o644), aFolder("real", 0o755), aFile("real/in", "1", 0o644), aFile("real/other", "1", 0o644),
					aFolder("file", 0o755), aFile("file/in", "1", 0o644), aFolder("hard", 0o755), aFile("hard/in", "1", 0o644),
				},
				{
					aFile("lib/new", "2", 0o644), aWhiteout("usr/lib"), aLink("was", "real"), aWhiteout("was/in"), aFile("file", "2", 0o644), aWhiteout("file/in"),
					aHardLink("hard", "real/other"),
				},
			},
		},
		{
			name:  "overlayfs",
			known: []knownDiff{{"tar", "d", "xattr trusted.overlay.opaque", overlay}, {"tar", "f", "xattr trusted.overlay.redirect", overlay}},
			layers: [][]layerMember{{
				aFolder("d", 0o755).xattrs("trusted.overlay.opaque", "y"), aFile("f", "x", 0o644).xattrs("trusted.overlay.redirect", "/etc", "user.kept", "1"),
			}},
		},
	}
}
