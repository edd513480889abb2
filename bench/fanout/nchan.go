package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/ssebridge/ssebridge/bench/internal/child"
	"github.com/ssebridge/ssebridge/bench/internal/load"
)

// nchanModule is where Debian has nchan.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// nginx is the configuration of nchan: one worker, for with two each event goes
// through memory that they share, and the load generator needs the other core.
// Messages are kept long enough for every client to get them. nginx logs no
// requests, as the others do not.
const nginx = `load_module %s;
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid %s/nginx.pid;
error_log stderr warn;
events {
  worker_connections 19900;
}
http {
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  nchan_shared_memory_size 128M;
  client_body_temp_path %s;
  proxy_temp_path %s;
  fastcgi_temp_path %s;
  uwsgi_temp_path %s;
  scgi_temp_path %s;
  server {
    listen %s backlog=4096;
    location = / {
      nchan_subscriber eventsource;
      nchan_channel_id bench;
      nchan_subscriber_first_message newest;
    }
    location = /publish {
      nchan_publisher http;
      nchan_channel_id bench;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 1m;
    }
  }
}
`

// nchan starts nginx with nchan, and what publishes to it.
func nchan(ctx context.Context, l *lab, want want) (_ *contender, err error) {
	command, err := exec.LookPath("nginx")
	if err == nil {
		_, err = os.Stat(nchanModule)
	}
	if err != nil {
		return nil, errors.Join(errors.New("nginx with nchan is not installed; scripts/bench.sh does that"), err)
	}
	c := newContender("nchan")
	defer c.stopOn(&err)
	addrs, err := l.addrs()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(l.dir, fmt.Sprintf("nginx-%d", l.started))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, nginx, nchanModule, dir, dir, dir, dir, dir, dir, addrs[0]), 0o600); err != nil {
		return nil, err
	}
	server, err := l.start("nginx", command, "-p", dir, "-c", path, "-e", "stderr")
	if err != nil {
		return nil, err
	}
	c.serves(server)
	if err := server.AwaitReady(ctx, child.Accepts(addrs[0])); err != nil {
		return nil, err
	}
	c.load = load.Params{Addr: addrs[0], Path: "/", Window: addrs[1]}
	post := func(ctx context.Context) error {
		poster, err := l.start("poster", l.program("poster"), "-to", addrs[0], "-window", addrs[1],
			"-pace", want.pace, "-ahead", strconv.Itoa(l.window))
		if err != nil {
			return err
		}
		c.helps(poster)
		return poster.AwaitReady(ctx, child.Accepts(addrs[1]))
	}
	if !want.windowed() {
		// 10,000 clients could not all come in while it sends to those who have.
		c.begin = post
		return c, nil
	}
	return c, post(ctx)
}
