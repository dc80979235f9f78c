// Command dist moves content between registries, files and a local store. All
// it does is to call package cmd and to end with its exit code.
package main

import (
	"os"

	"dist.example/cmd"
)

func main() { os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
