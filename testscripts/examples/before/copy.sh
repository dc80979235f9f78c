dist copy --platform linux/arm64 redis:7 oci-archive:redis.tar
