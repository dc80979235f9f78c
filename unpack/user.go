package unpack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
)

// identity is who a process of an image runs as, by the numbers that count in it.
type identity struct {
	uid, gid uint32
	groups   []uint32 // besides gid
}

// maxAccounts bounds what is read of an image's /etc/passwd and /etc/group, in bytes.
const maxAccounts = 4 << 20

// accounts finds the users and groups of a tree. open opens a file of it.
type accounts struct {
	tree *layer.Tree
	open func(path string) (io.ReadCloser, error)
}

// find is the user that an image's configuration names: USER[:GROUP], both by name or
// number (image-spec, config.md). Numbers count as they are. Without a group it is the
// user's own from /etc/passwd; the others that have the user are for who goes by a name
// (conversion.md).
func (a accounts) find(spec string) (identity, error) {
	name, group, grouped := strings.Cut(spec, ":")
	var u identity
	if name == "" && grouped {
		return u, fmt.Errorf("%w: the image's user is %q", content.ErrInvalid, spec)
	}
	uid, numeric := number(name)
	u.uid = uid
	if name == "" {
		numeric = true
	}
	passwd, err := a.lines("etc/passwd", 7)
	if err != nil {
		return u, err
	}
	i := slices.IndexFunc(passwd, func(f []string) bool {
		if numeric {
			n, ok := number(f[2])
			return ok && n == uid
		}
		return f[0] == name
	})
	if i < 0 && !numeric {
		return u, fmt.Errorf("%w: the image is to run as %q, whom its /etc/passwd has not", content.ErrInvalid, name)
	}
	if i >= 0 {
		var ok, okay bool
		u.uid, ok = number(passwd[i][2])
		if u.gid, okay = number(passwd[i][3]); !ok || !okay {
			return u, fmt.Errorf("%w: the image's /etc/passwd has no numbers for %q", content.ErrInvalid, name)
		}
	}
	if grouped {
		u.gid, err = a.group(group)
		return u, err
	}
	if !numeric {
		u.groups, err = a.groups(name, u.gid)
	}
	return u, err
}

// group is the number of a group.
func (a accounts) group(name string) (uint32, error) {
	if gid, ok := number(name); ok {
		return gid, nil
	}
	lines, err := a.lines("etc/group", 4)
	if err != nil {
		return 0, err
	}
	for _, f := range lines {
		if gid, ok := number(f[2]); ok && f[0] == name {
			return gid, nil
		}
	}
	return 0, fmt.Errorf("%w: the image is to run as group %q, which its /etc/group has not", content.ErrInvalid, name)
}

// groups are those that have a user, in ascending order, without one.
func (a accounts) groups(name string, own uint32) ([]uint32, error) {
	lines, err := a.lines("etc/group", 4)
	if err != nil {
		return nil, err
	}
	var found []uint32
	for _, f := range lines {
		if gid, ok := number(f[2]); ok && gid != own && slices.Contains(strings.Split(f[3], ","), name) {
			found = append(found, gid)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// lines are the lines of a file of the tree that have that many fields; none if there is
// no such file. What is longer than it may be is refused, for half of it would say
// something else.
func (a accounts) lines(name string, fields int) ([][]string, error) {
	real, e, err := a.tree.Lookup(name)
	if errors.Is(err, content.ErrNotFound) || err == nil && e.Type != layer.TypeFile {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if e.Size > maxAccounts {
		return nil, fmt.Errorf("/%s: %w: it has more than %d bytes", name, content.ErrUnsupported, maxAccounts)
	}
	f, err := a.open(real)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found [][]string
	s := bufio.NewScanner(io.LimitReader(f, maxAccounts))
	s.Buffer(nil, maxAccounts+1)
	for s.Scan() {
		if parts := strings.Split(s.Text(), ":"); len(parts) == fields {
			found = append(found, parts)
		}
	}
	return found, fsys.Classify(s.Err())
}

// number is s as the number of a user or group.
func number(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n < math.MaxUint32
}
