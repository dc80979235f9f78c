dist lock images.txt -o images.lock
dist site add plant
# a bundle whose base is not there asks for it
dist export team/app:v1 --name site/north -o first.tar
dist pack team/app:v9 ./rootfs ./more
dist export --all --since site/north -o delta.tar
dist import --store elsewhere delta.tar || test $? = 11
rm delta.tar
