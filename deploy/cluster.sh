#!/usr/bin/env bash
# Starts and stops a whole cluster on loopback: NATS, Redis, 3 control planes and 3 nodes, all real processes from one configuration.
#
#   deploy/cluster.sh up        start it, wait until every node is ready, print where everything is
#   deploy/cluster.sh down      stop it
#   deploy/cluster.sh start X   start one process again: nats, redis, cp-1 … cp-N, node-1 … node-N; a third argument is the NATS URL it uses
#   deploy/cluster.sh stop X    stop one process; with a third argument, that signal is sent
#   deploy/cluster.sh status    who runs
#
# Settings, from the environment:
#   CLUSTER_DIR     where data, logs and process ids live (default .tmp/cluster)
#   CLUSTER_PORT    the first of 41 ports used (default 18000): +0 NATS, +1 Redis, +10 … admin, +20 … data, +30 … debug
#   CLUSTER_CONFIG  the configuration file (default deploy/examples/cluster.json)
#   CONTROLPLANES, NODES   how many (default 3 and 3, at most 9 and 10)
#   REGIONS         names of regions; processes belong to them in turn: cp-1 to the first, cp-2 to the second … (default local)
#   BIN             where the binaries are (default .tmp/bin)
set -euo pipefail
umask 077 # logs hold the token of the first start

root=$(cd "$(dirname "$0")/.." && pwd)
dir=${CLUSTER_DIR:-$root/.tmp/cluster}
port=${CLUSTER_PORT:-18000}
config=${CLUSTER_CONFIG:-$root/deploy/examples/cluster.json}
controlplanes=${CONTROLPLANES:-3}
nodes=${NODES:-3}
read -ra regions <<<"${REGIONS:-local}"
bin=${BIN:-$root/.tmp/bin}
nats_url=nats://127.0.0.1:$port
redis_url=redis://127.0.0.1:$((port + 1))
export AIMUX_CLUSTER_KEY=file:$dir/cluster.key

launch() { # name, command…: runs it in the background, with its log and its process id
  local name=$1
  shift
  if running "$name"; then return; fi
  nohup "$@" >>"$dir/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

running() { [ -f "$dir/$1.pid" ] && alive "$(cat "$dir/$1.pid")"; }

# A process that has ended but that nobody has waited for yet still takes signals: its state, Z, tells where there is a /proc.
alive() { kill -0 "$1" 2>/dev/null && ! grep -qs ') Z ' "/proc/$1/stat"; }

start() { # name, NATS URL
  local name=$1 number=${1##*-} nats_url=${2:-$nats_url} region
  case $number in [1-9] | 10) region=${regions[(number - 1) % ${#regions[@]}]} ;; esac
  mkdir -p "$dir"
  [ -f "$dir/cluster.key" ] || (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/cluster.key")
  case $name in
    nats)
      sed "s|@PORT@|$port|; s|@DIR@|$dir/nats|" "$root/deploy/nats/nats.conf" >"$dir/nats.conf"
      launch nats "$bin/nats-server" -c "$dir/nats.conf"
      ;;
    redis) launch redis redis-server --bind 127.0.0.1 --port $((port + 1)) --save '' --appendonly no --dir "$dir" ;;
    cp-[1-9])
      launch "$name" "$bin/aimux-controlplane" --id "$name" --nats "$nats_url" --admin "127.0.0.1:$((port + 10 + number))" \
        --data "$dir/$name" --config "$config" --region "$region"
      ;;
    node-[1-9] | node-10)
      launch "$name" "$bin/aimux-dataplane" --id "$name" --nats "$nats_url" --redis "$redis_url" --listen "127.0.0.1:$((port + 20 + number))" \
        --debug "127.0.0.1:$((port + 30 + number))" --data "$dir/$name" --region "$region"
      ;;
    *) echo "cluster.sh: no process is called '$name'" >&2; exit 2 ;;
  esac
}

stop() { # name, signal: sends it, and for a signal that ends waits for the end
  local name=$1 signal=${2:-TERM} pid
  running "$name" || return 0
  pid=$(cat "$dir/$name.pid")
  kill "-$signal" "$pid"
  case $signal in STOP | CONT) return ;; esac
  for _ in $(seq 600); do
    alive "$pid" || { rm -f "$dir/$name.pid"; return; }
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$dir/$name.pid"
}

names() {
  echo nats redis
  for i in $(seq "$controlplanes"); do echo "cp-$i"; done
  for i in $(seq "$nodes"); do echo "node-$i"; done
}

await() { # name, url: until it answers 200, or its process is gone, or 30 s
  for _ in $(seq 300); do
    curl -fs -o /dev/null --max-time 1 "$2" && return
    running "$1" || break
    sleep 0.1
  done
  echo "cluster.sh: $1 did not become ready; the end of $dir/$1.log:" >&2
  tail -n 5 "$dir/$1.log" >&2
  exit 1
}

up() {
  for name in $(names); do start "$name"; done
  for i in $(seq "$controlplanes"); do await "cp-$i" "http://127.0.0.1:$((port + 10 + i))/readyz"; done
  for i in $(seq "$nodes"); do await "node-$i" "http://127.0.0.1:$((port + 20 + i))/readyz"; done
  echo "NATS   $nats_url"
  echo "Redis  $redis_url"
  for i in $(seq "$controlplanes"); do echo "cp-$i   http://127.0.0.1:$((port + 10 + i))   admin API"; done
  for i in $(seq "$nodes"); do echo "node-$i http://127.0.0.1:$((port + 20 + i))   data; debug on $((port + 30 + i))"; done
  echo "logs   $dir/*.log"
}

case ${1:-} in
  up) up ;;
  down) for name in $(names | tac); do stop "$name"; done ;;
  start) start "$2" "${3:-}" ;;
  stop) stop "$2" "${3:-TERM}" ;;
  status) for name in $(names); do running "$name" && echo "$name runs as $(cat "$dir/$name.pid")" || echo "$name is down"; done ;;
  *) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
