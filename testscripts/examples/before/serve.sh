dist export demo/app:v1 -o app.tar
printf '%s\n' 'alice:$2y$04$0nfipKyj4KjHm0nytlPNs.Bq2aKtSiW0a8NbuwHRYq7jXuigqGWGG' >users
echo '{"rules": [{"users": ["alice"], "repositories": ["team/**"], "actions": ["pull", "push"]}]}' >rules.json
