mkdir chart/web && echo 'name: web' >chart/web/Chart.yaml && echo 'version: 1.2.3' >>chart/web/Chart.yaml && echo 'apiVersion: v2' >>chart/web/Chart.yaml
tar -czf web-1.2.3.tgz -C chart web
