mkdir -p rootfs/etc && echo one >rootfs/etc/version
for key in courier release; do
	dist key generate --no-passphrase $key
	dist key show --public $key >$key.pub
done
dist key generate --no-passphrase cosign
mv ~/.config/dist/keys/cosign.* .
dist key generate ci
dist key show --public ci >ci.pub
mv ~/.config/dist/keys/ci.key /run/secrets/ci.key
rm ~/.config/dist/keys/ci.pub
dist pack -k release registry.example/team/app:v1 ./rootfs
dist push registry.example/team/app:v1
DIGEST=$(dist resolve -q registry.example/team/app:v1)
