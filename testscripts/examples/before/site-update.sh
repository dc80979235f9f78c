dist site add plant
dist site receipt -o plant.receipt
