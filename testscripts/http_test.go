package testscripts

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// httpAsk sends one request, and prints the status, the headers that are asked for,
// and the body. Who the URL says asks with his password.
func httpAsk() {
	flags := flag.NewFlagSet("http", flag.ExitOnError)
	authority := flags.String("ca", "", "file with the authority of an https URL")
	show := flags.String("show", "", "headers to print, with commas")
	stream := flags.Bool("stream", false, "send FILE without its length")
	_ = flags.Parse(os.Args[1:])
	if flags.NArg() < 2 {
		die(2, "usage: http [-ca FILE] [-show HEADERS] [-stream] METHOD URL [FILE]")
	}
	var body io.Reader
	if file := flags.Arg(2); file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			die(2, "http: %v", err)
		}
		if body = strings.NewReader(string(data)); *stream {
			body = io.MultiReader(body)
		}
	}
	req, err := http.NewRequest(flags.Arg(0), flags.Arg(1), body)
	if err != nil {
		die(2, "http: %v", err)
	}
	if u := req.URL.User; u != nil {
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	resp, err := (&http.Transport{TLSClientConfig: trusting(*authority), ForceAttemptHTTP2: true}).RoundTrip(req)
	if err != nil {
		die(1, "http: %v", err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Proto, resp.StatusCode)
	for name := range strings.SplitSeq(*show, ",") {
		if v := resp.Header.Get(name); v != "" {
			fmt.Printf("%s: %s\n", name, v)
		}
	}
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		die(1, "http: %v", err)
	}
}

// trusting is a configuration for the authority in file, "" for the system's.
func trusting(file string) *tls.Config {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(data) {
		die(2, "http: no authority in %s", file)
	}
	return &tls.Config{RootCAs: pool}
}

// certificate makes a certificate for this machine in DIR: server.crt, server.key and
// its authority, which is a new one each time, ca.crt.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: certificate DIR")
	}
	dir := ts.MkAbs(args[0])
	ca, err := newIssuer()
	ts.Check(err)
	cert, err := ca.issue()
	ts.Check(err)
	ts.Check(ca.write(dir + "/ca.crt"))
	_, err = writePair(dir, cert)
	ts.Check(err)
}
