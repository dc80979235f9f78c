# What the examples of help and documents find: folders, files, images in registries,
# and for help a store with names, keys and a policy. 9f86d081 is the digest of "test",
# 5891b5 that of "hello" and the end of a line.

exec >/dev/null

# folders outside of the reader's own
mkdir -p /media/stick /mnt/backup /mnt/other /srv/images /run/secrets /etc/bash_completion.d/ /etc/containers/ /usr/local/share/zsh/site-functions

# trees, and files of several kinds
mkdir -p rootfs/etc rootfs/bin rootfs/usr/local/bin app more figures app-arm chart shop
echo 'PRETTY_NAME="Example 1"' >rootfs/etc/os-release
printf 'root:x:0:0::/root:/bin/sh\n' >rootfs/etc/passwd
printf '#!/bin/sh\n' | tee rootfs/bin/sh rootfs/usr/local/bin/redis-server app/hello app-arm/hello >/dev/null
chmod +x rootfs/bin/sh rootfs/usr/local/bin/redis-server app/hello app-arm/hello
echo one >app/one && echo two >app/two && echo three >more/three && echo figure >figures/1.svg
cp -r rootfs rootfs-arm && echo arm64 >rootfs-arm/etc/hostname
cp -r rootfs rootfs-next && echo next >rootfs-next/etc/hostname
echo '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}' >config.json
echo '{"passed":17}' >report.json
echo '<p>17' >report.html
echo '{"bomFormat":"CycloneDX","specVersion":"1.5"}' | tee bom.json >sbom.cdx.json
echo '{"spdxVersion":"SPDX-2.3"}' >sbom.spdx.json
tar -czf base.tar.gz more && tar -cf content1.tar more && tar -cf content2.tar figures && tar -czf layer.tar.gz app
printf 'redis:7\nteam/app:v1\n' >images.txt
printf 'secret\n' >token.txt
printf 'refresh\n' >identity.txt

cp "$(dirname "$(command -v openssl)")"/*.pem .

# images in registries, some for two platforms
export DIST_STORE=$PWD/../maker
dist pack --platform linux/amd64 --entrypoint /bin/sh --annotation org.opencontainers.image.authors='maintainers@example.com' amd64 ./rootfs
dist pack --platform linux/arm64 --entrypoint /bin/sh arm64 ./rootfs-arm
dist pack --platform linux/amd64 --entrypoint /bin/sh next ./rootfs-next
dist pack --platform linux/amd64 --entrypoint /app/hello layers ./rootfs ./app ./more ./figures
dist pack -t index both amd64 arm64
dist pack -t index newer next arm64
for name in redis:latest redis:7 redis:7.2 redis:7.2.5 redis:7.2-alpine redis:7.4-alpine postgres:16 alpine:3 debian:12 nginx:1.27 nginx:1.27.3; do
	dist push both docker.io/library/$name
done
dist push newer docker.io/library/redis:7.4
dist push newer docker.io/library/redis:6
dist push layers docker.io/demo/app:v1
for name in docker.io/team/app:v1 registry.example/team/app:v1 registry.example/base:v1 registry.example/app:v7 \
	localhost:5000/demo:v1 localhost:5000/demo/go:v1 quay.io/prometheus/prometheus:v3.0.0 quay.io/prometheus/prometheus:v3.1.0 quay.io/team/app:v1 quay.io/team/app:1.2.3; do
	dist push both $name
done
dist push newer ghcr.io/org/tool:v2
dist push newer backup.example/team/app:v0
unset DIST_STORE

# keys of the reader, and public ones of others
for key in default release ci plant courier vendor cosign team stolen dist; do
	dist key generate --no-passphrase $key
	dist key show --public $key >$key.pub
done
for key in vendor cosign team stolen dist; do
	cp ~/.config/dist/keys/$key.key $key.key && dist key remove --yes $key
done

# content and names in the reader's store, and what these stood for before
printf test | dist put -t text >/dev/null
echo hello | dist put -t text >/dev/null
dist pull --all-platforms redis redis:7 redis:7.2 redis:7.4 redis:6 alpine:3 debian:12 demo/app:v1 team/app:v1 registry.example/base:v1
for name in redis:7 team/app:v1; do
	dist tag redis:6 $name
	dist tag redis:7.2 $name
done
dist pack demo/app:v2 ./rootfs-next ./app ./more ./figures
dist pack demo/go:v1 ./rootfs
dist pack demo:v1 ./rootfs
dist pack --platform linux/arm64 demo:arm ./rootfs-arm
dist tag demo:v1 demo:amd64
dist squash demo/app:v1 --as demo/app:small
dist pack registry.example/team/app:v1 ./rootfs
dist pack registry.example/team/app:v2 ./rootfs-next
dist sign -k release registry.example/team/app:v1
dist pack -t artifact registry.example/team/report:v1 report.json:json ./figures
dist export --all --sign -k courier --name site/north -o site.tar
