dist copy redis:7 oci-archive:backup.tar
dist store backup /mnt/other/store/
