for site in plant hall3; do
	dist site add $site
done
dist site receipt -o plant.receipt
dist site update plant plant.receipt
