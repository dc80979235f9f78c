printf test >test
dist pack -t artifact docker.io/library/redis:test test
dist push docker.io/library/redis:test
