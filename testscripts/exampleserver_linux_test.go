package testscripts

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// exampleServer is a dist serve that is running.
type exampleServer struct {
	cmd    *exec.Cmd
	addr   string
	stderr *bytes.Buffer
}

const defaultAddr = "127.0.0.1:5000" // of dist serve

var (
	serverPort = regexp.MustCompile(`dist serve.* --addr[ =]\S+:(\d+)`)
	serverAddr = regexp.MustCompile(` --addr[ =](\S+)`)
)

// ownPorts lets the servers of a session listen on ports that are free, and returns what
// puts those in the place of the ones that the commands have.
func (s *exampleSession) ownPorts(text string) *strings.Replacer {
	s.t.Helper()
	_, own, _ := net.SplitHostPort(defaultAddr)
	ports, pairs := map[string]bool{own: strings.Contains(text, "dist serve")}, []string{}
	for _, m := range serverPort.FindAllStringSubmatch(text, -1) {
		ports[m[1]] = true
	}
	for port, served := range ports {
		if served {
			free := freePort(s.t)
			pairs = append(pairs, "0.0.0.0:"+port, "127.0.0.1:"+free, "127.0.0.1:"+port, "127.0.0.1:"+free, "localhost:"+port, "localhost:"+free)
		}
	}
	return strings.NewReplacer(pairs...)
}

var lastPort atomic.Int32

// freePort finds a port that nobody listens on, below those that connections get, so
// that it stays free.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(20000 + (os.Getpid()*97+int(lastPort.Add(1)))%10000)
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// serve starts a server and asks it. One that is not in the background is ended then, and
// has to end well.
func (s *exampleSession) serve(machine, text string) outcome {
	s.t.Helper()
	text, background := strings.CutSuffix(strings.TrimSpace(text), "&")
	if !strings.Contains(text, " --addr") {
		text = strings.Replace(text, "dist serve", "dist serve --addr "+s.ports.Replace(defaultAddr), 1)
	}
	server := &exampleServer{addr: serverAddr.FindStringSubmatch(text)[1], stderr: new(bytes.Buffer)}
	server.cmd = s.shell(context.WithoutCancel(s.t.Context()), machine, "exec "+text)
	s.endServers(server.addr)
	stdout, err := server.cmd.StdoutPipe()
	s.must(err)
	server.cmd.Stderr = server.stderr
	s.must(server.cmd.Start())
	stuck := time.AfterFunc(time.Minute, func() { _ = server.cmd.Process.Kill() })
	url, err := bufio.NewReader(stdout).ReadString('\n')
	url = strings.TrimSpace(url)
	if err == nil {
		err = healthy(url)
	}
	stuck.Stop()
	if err == nil && background {
		s.servers = append(s.servers, server)
		go func() { _, _ = io.Copy(io.Discard, stdout) }()
		return outcome{stdout: url}
	}
	exit := s.end(server)
	if err != nil {
		fmt.Fprintf(server.stderr, "it does not serve: %v\n", err)
		exit = -1
	}
	return outcome{stdout: url, stderr: server.stderr.String(), exit: exit}
}

// healthy asks a server how it is.
func healthy(url string) error {
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, Timeout: time.Minute}
	resp, err := c.Get(url + "/healthz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/healthz: %s", url, resp.Status)
	}
	return nil
}

// end interrupts a server and returns how it ended.
func (s *exampleSession) end(server *exampleServer) int {
	_ = server.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	err := server.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Errorf("%s: %v", s.page, err)
	}
	return server.cmd.ProcessState.ExitCode()
}

// endServers ends those in the background that listen at addr, or all where that is "".
func (s *exampleSession) endServers(addr string) {
	s.t.Helper()
	var left []*exampleServer
	for _, server := range s.servers {
		if addr != "" && server.addr != addr {
			left = append(left, server)
		} else if code := s.end(server); code != 0 {
			s.t.Errorf("%s: the server at %s: exit %d\n%s", s.page, server.addr, code, server.stderr)
		}
	}
	s.servers = left
}

// killServers ends what is left of a session that did not come to its end.
func (s *exampleSession) killServers() {
	for _, server := range s.servers {
		_ = server.cmd.Process.Kill() // it may have ended
	}
}
