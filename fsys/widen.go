package fsys

import "syscall"

// pipeSize is what Linux lets everybody have by default.
const pipeSize = 1 << 20

// Widen asks the system for a larger buffer where end is the end of a pipe, so that its two
// sides wait for each other less often. It promises nothing, and does nothing for all else
// and where there is no such hint. A pipe for much content is worth it, and no other: users
// have a limit for all of theirs.
func Widen(end any) {
	conn, ok := end.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(widen)
}
