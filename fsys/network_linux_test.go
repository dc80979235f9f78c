package fsys

import (
	"strings"
	"testing"
)

func TestMountKind(t *testing.T) {
	const mountinfo = `22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
30 22 0:40 / /mnt/remote rw,nosuid shared:5 master:2 - fuse.sshfs me@host:/ rw,user_id=0
31 22 0:41 / /mnt/local rw - fuse.ntfs-3g /dev/sdb1 rw,user_id=0
32 22 0:42 / /mnt/c rw,noatime - 9p C:\134 rw,aname=drvfs;path=C:\;uid=1000,trans=fd,rfd=8
33 22 0:43 / /mnt/share rw - 9p share rw,access=client,trans=virtio
34 22 0:44 / /sandbox rw - 9p none rw,trans=fd,rfdno=4,wfdno=4
35 22 0:45 / /mnt/vfs rw - virtiofs host rw
broken line
36 22 0:46 / /cut - 9p
`
	for device, want := range map[string]string{
		"254:1": "", "0:40": "fuse.sshfs", "0:41": "", "0:42": "9p, a Windows drive", "0:43": "9p",
		"0:44": "", "0:45": "", "0:46": "", "9:9": "",
	} {
		if got := mountKind(strings.NewReader(mountinfo), device); got != want {
			t.Errorf("%s: %q, want %q", device, got, want)
		}
	}
}

func TestNetworkMagicsFitTheField(t *testing.T) {
	for magic, name := range networkMagic {
		if magic == 0 || name == "" {
			t.Errorf("%#x %q", magic, name)
		}
	}
}
