dist lock images.txt -o images.lock
dist push demo:v1 docker.io/team/app:v1
