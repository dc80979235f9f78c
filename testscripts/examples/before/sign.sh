rm ~/.config/dist/keys/default.*
