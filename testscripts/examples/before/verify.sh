for key in vendor cosign; do
	dist sign -k $key.key registry.example/team/app:v1
done
dist push registry.example/team/app:v1
dist trust add default --scope docker.io/library
cp ~/.config/dist/policy.json policy.json
dist trust remove --scope docker.io/library
dist trust add default --scope registry.example/team
