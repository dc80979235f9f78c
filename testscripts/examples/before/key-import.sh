rm ~/.config/dist/keys/ci.*
