dist lease add --expires 1d redis:7
