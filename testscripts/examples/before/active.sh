head -c 1000 content1.tar | dist ingest --expected-size 9999 redis-layer || true
head -c 1000 content1.tar | dist ingest --expected-size 9999 'one more' || true
