package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is somebody who takes requests and sends them on to the provider.
type peer struct {
	name string
	// command starts it in a folder of its own, listening on address.
	command func(ctx context.Context, dir, address, provider string, f format) (*exec.Cmd, error)
}

// peers are all who are measured, the plain ones first.
func peers(aimux string) []peer {
	return []peer{
		{"nginx", func(ctx context.Context, dir, address, provider string, _ format) (*exec.Cmd, error) {
			return command(ctx, dir, "nginx.conf", fmt.Sprintf(nginxConf, dir, provider, address), "nginx", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
		}},
		{"HAProxy", func(ctx context.Context, dir, address, provider string, _ format) (*exec.Cmd, error) {
			return command(ctx, dir, "haproxy.cfg", fmt.Sprintf(haproxyConf, address, provider), "haproxy", "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
		}},
		{"Go's ReverseProxy", func(ctx context.Context, _, address, provider string, _ format) (*exec.Cmd, error) {
			self, err := os.Executable()
			return exec.CommandContext(ctx, self, "reverse", address, provider), err //nolint:gosec // ourselves
		}},
		{"aimux", func(ctx context.Context, dir, address, provider string, f format) (*exec.Cmd, error) {
			binary, err := filepath.Abs(aimux)
			if err != nil {
				return nil, err
			}
			return command(ctx, dir, "aimux.json", fmt.Sprintf(aimuxConf, f.name, provider), binary, "up", "--listen", address, "--admin", "127.0.0.1:0",
				"--data", filepath.Join(dir, "data"), "--config", filepath.Join(dir, "aimux.json"), "--log-level", "error")
		}},
	}
}

// Each proxy with one thread, connections that are kept on both sides, no log, and nothing held back.
const (
	nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 64m; client_body_buffer_size 128k; keepalive_requests 100000000;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  upstream provider { server %[2]s; keepalive 512; keepalive_requests 100000000; }
  server { listen %[3]s; location / { proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; } }
}
`
	haproxyConf = `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-no-delay
  http-reuse always
frontend clients
  bind %s
  default_backend providers
backend providers
  server provider %s
`
	aimuxConf = `{"providers": {"bench": {"kind": "compatible", "protocol": "%s", "base_url": "http://%s/v1", "api_key": "k", "allow_private_address": true,
  "health_check_interval": 0, "models": [{"id": "m", "serves": ["*"], "context_window": 1000000, "max_output_tokens": 100000}]}}}
`
)

// command writes a configuration and is the program that reads it.
func command(ctx context.Context, dir, file, text, program string, args ...string) (*exec.Cmd, error) {
	path := program
	for _, folder := range []string{"", "/usr/sbin/"} { // where servers are, and not everybody looks
		if found, err := exec.LookPath(folder + program); err == nil {
			path = found
			break
		}
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%s: %w", program, exec.ErrNotFound)
	}
	return exec.CommandContext(ctx, path, args...), os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600) //nolint:gosec // our own words
}

// running is a peer that was started.
type running struct {
	cmd          *exec.Cmd
	address, dir string
	gone         chan error
}

func (p peer) start(ctx context.Context, f format, provider string) (*running, error) {
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &running{address: free.Addr().String(), gone: make(chan error, 1)}
	_ = free.Close() // it was only to find a port
	if r.dir, err = os.MkdirTemp("", "speed"); err != nil {
		return nil, err
	}
	if r.cmd, err = p.command(ctx, r.dir, r.address, provider, f); err == nil {
		r.cmd.Stderr = os.Stderr
		r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err = r.cmd.Start()
	}
	if err != nil {
		_ = os.RemoveAll(r.dir)
		return nil, err
	}
	go func() { r.gone <- r.cmd.Wait() }()
	return r, ctx.Err()
}

func (r *running) pid() int { return r.cmd.Process.Pid }

// await waits until it serves.
func (r *running) await(ctx context.Context, f format) error {
	for range 200 {
		l := startLoad(r.address, cell{conns: 1, once: true}, f)
		err := l.stop()
		if err == nil {
			return nil
		}
		select {
		case left := <-r.gone:
			return fmt.Errorf("it ended: %w", left)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("it does not serve at %s", r.address)
}

func (r *running) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.gone: //nolint:errcheck // it was told to
	case <-time.After(2 * time.Second):
		_ = r.cmd.Process.Kill()
		<-r.gone //nolint:errcheck // it was made to
	}
	_ = os.RemoveAll(r.dir)
}

// reverse is what Go charges for a proxy before it does any work.
func reverse(address, provider string) error {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: provider})
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	server := &http.Server{Addr: address, Handler: proxy, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

// cpuTime is what a process has used so far, in its own code and in the kernel.
func cpuTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, behind, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(behind)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100)
}
