rm ~/.config/dist/keys/*
