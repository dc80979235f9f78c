# images that are large enough for three volumes
mkdir tool && head -c 1500000 /dev/urandom >tool/tool
dist pack --store ../large --platform linux/amd64 amd64 ./tool
dist pack --store ../large --platform linux/arm64 arm64 ./tool
dist pack --store ../large -t index both amd64 arm64
dist push --store ../large both ghcr.io/org/tool:v2
rm -r tool ../large
