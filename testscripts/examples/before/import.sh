mkdir noise && head -c 500000 /dev/urandom >noise/noise
dist pack quay.io/team/noise:v1 ./noise
dist tag redis:7 docker.io/library/hub:v1
rm site.tar
dist export quay.io/team/noise:v1 redis:7 -o site.tar
dist export quay.io/team/noise:v1 redis:7 -o site.tar --split 200K
dist lock images.txt -o images.lock
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >site.json
DIGEST=$(dist pack untagged ./more)
dist export "$DIGEST" -o untagged.tar
! command -v xz || xz -k untagged.tar
test -e untagged.tar.xz || mv untagged.tar untagged.tar.xz
