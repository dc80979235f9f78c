rm -r rootfs app
dist copy redis:7 oci-archive:redis.tar
