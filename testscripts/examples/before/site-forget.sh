dist site add plant
dist site receipt -o plant.receipt
dist site update plant plant.receipt
