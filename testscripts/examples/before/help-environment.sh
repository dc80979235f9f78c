dist init --store /srv/images
