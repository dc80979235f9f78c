mkdir noise && head -c 500000 /dev/urandom >noise/noise
dist pack noise:v1 ./noise
dist export noise:v1 --split 200K -o images.tar
# what a site that lacks the base of a bundle writes
dist export redis:7 --name site/north -o first.tar
dist tag redis:6 redis:6.2
dist export redis:6 redis:7 --since site/north -o next.tar
dist import --store elsewhere next.tar || test $? = 11
rm next.tar
