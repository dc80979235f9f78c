dist store backup store.tar
dist store backup --catalog-only catalog.tar
dist store backup /mnt/backup/store/
rm -r ~/.local/share/dist
