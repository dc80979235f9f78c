# what the variables stand for, and an image in the form that the hint asks for
DIGEST=sha256:$(sha256sum <layer.tar.gz | cut -c1-64)
SIZE=$(wc -c <layer.tar.gz)
dist copy --platform linux/amd64 redis:7 docker-archive:redis.tar
dist pack --platform linux/amd64 redis base.tar.gz layer.tar.gz
dist get redis | sed 's/application.vnd.oci.image.manifest.v1+json/application\/vnd.docker.distribution.manifest.v2+json/' >manifest.json
dist tag "$(dist put -t application/vnd.docker.distribution.manifest.v2+json manifest.json)" redis
dist push redis
