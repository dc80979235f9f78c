rm -r rootfs app
dist unpack demo/app:v1 rootfs
dist unpack --bundle demo/app:v1 app
