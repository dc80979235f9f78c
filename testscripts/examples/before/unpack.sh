rm -r rootfs app
