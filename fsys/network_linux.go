package fsys

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// networkMagic names the network file systems by statfs(2)'s f_type, as 32 bits.
var networkMagic = map[uint32]string{
	unix.NFS_SUPER_MAGIC:   "nfs",
	unix.SMB_SUPER_MAGIC:   "smb",
	unix.SMB2_SUPER_MAGIC:  "smb",
	unix.CIFS_SUPER_MAGIC:  "cifs",
	unix.AFS_SUPER_MAGIC:   "afs",
	unix.AFS_FS_MAGIC:      "afs",
	unix.CODA_SUPER_MAGIC:  "coda",
	unix.NCP_SUPER_MAGIC:   "ncp",
	unix.CEPH_SUPER_MAGIC:  "ceph",
	unix.OCFS2_SUPER_MAGIC: "ocfs2",
	0x0bd00bd0:             "lustre",
	0x01161970:             "gfs2",
	0x47504653:             "gpfs",
	0x19830326:             "beegfs",
	0x786f4256:             "vboxsf",
}

// remoteFUSE are the file systems in user space that keep their bytes elsewhere.
var remoteFUSE = map[string]bool{
	"sshfs": true, "s3fs": true, "rclone": true, "gcsfuse": true, "goofys": true, "mount-s3": true,
	"blobfuse": true, "blobfuse2": true, "juicefs": true, "glusterfs": true, "ceph": true, "ceph-fuse": true,
	"davfs": true, "davfs2": true, "curlftpfs": true, "smbnetfs": true, "gvfsd-fuse": true, "afp": true,
	"seaweedfs": true, "moosefs": true, "mfs": true, "lizardfs": true, "cvmfs2": true, "s3ql": true,
}

// networkKind names the network file system that dir is on, or "".
func networkKind(dir string) (string, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return "", err
	}
	magic := uint32(st.Type)
	if magic != unix.FUSE_SUPER_MAGIC && magic != unix.V9FS_MAGIC {
		return networkMagic[magic], nil
	}
	var info unix.Stat_t
	if err := again(func() error { return unix.Stat(dir, &info) }); err != nil {
		return "", err
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", nil
	}
	defer f.Close()
	return mountKind(f, fmt.Sprintf("%d:%d", unix.Major(info.Dev), unix.Minor(info.Dev))), nil
}

// mountKind looks the mount of device major:minor up in proc_pid_mountinfo(5):
// "id parent major:minor root mount options [tag…] - type source superoptions".
func mountKind(mountinfo io.Reader, device string) string {
	lines := bufio.NewScanner(io.LimitReader(mountinfo, 8<<20))
	for lines.Scan() {
		mount, super, ok := strings.Cut(lines.Text(), " - ")
		fields, rest := strings.Fields(mount), strings.Fields(super)
		if !ok || len(fields) < 3 || fields[2] != device || len(rest) < 3 {
			continue
		}
		return remoteKind(rest[0], rest[2])
	}
	return ""
}

// remoteKind judges the two families that serve local and remote bytes alike.
// 9p is also what a sandbox reports of the local disk, then over an inherited
// descriptor (trans=fd); so is a Windows drive, which says drvfs.
func remoteKind(fstype, options string) string {
	switch name, isFUSE := strings.CutPrefix(fstype, "fuse."); {
	case isFUSE && remoteFUSE[name]:
		return fstype
	case fstype == "9p" && strings.Contains(options, "aname=drvfs"):
		return "9p, a Windows drive"
	case fstype == "9p" && strings.Contains(options, "trans=") && !strings.Contains(options, "trans=fd"):
		return "9p"
	}
	return ""
}
