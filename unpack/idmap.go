package unpack

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"dist.example/content"
)

// IDMap says that Size numbers of users or groups in a user namespace, from Inside on, are
// those outside from Outside on (user_namespaces(7)).
type IDMap struct{ Inside, Outside, Size uint32 }

// maxIDMaps is how many the kernel takes.
const maxIDMaps = 340

// SubordinateIDs reads what a file like /etc/subuid has for a user, whom it names or gives
// the number of: lines NAME:FIRST:COUNT (subuid(5)). The first map is for own alone, the
// user's number or that of its group, which is root's inside; the numbers of the ranges
// follow each other from 1 on. Lines that say nothing are passed over. Errors:
// ErrUnsupported when there is no range for the user.
func SubordinateIDs(r io.Reader, name string, uid int, own uint32) ([]IDMap, error) {
	maps := []IDMap{{0, own, 1}}
	next := uint32(1)
	s := bufio.NewScanner(io.LimitReader(r, maxAccounts))
	for s.Scan() && len(maps) < maxIDMaps {
		f := strings.Split(strings.TrimSpace(s.Text()), ":")
		if len(f) != 3 || f[0] != name && f[0] != strconv.Itoa(uid) {
			continue
		}
		first, ok := number(f[1])
		count, okay := number(f[2])
		if !ok || !okay || count == 0 || first+count < first || next+count < next {
			continue
		}
		maps = append(maps, IDMap{next, first, count})
		next += count
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if len(maps) == 1 {
		return nil, fmt.Errorf("%w: there is no range for %s", content.ErrUnsupported, name)
	}
	return maps, nil
}

// mapped says whether a number is one inside.
func mapped(maps []IDMap, id uint32) bool {
	for _, m := range maps {
		if id >= m.Inside && id-m.Inside < m.Size {
			return true
		}
	}
	return false
}
