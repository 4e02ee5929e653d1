#!/usr/bin/env bash
# A real Apache Kafka (KRaft, from Maven packages) on loopback, for tests. The last line of `start` is its address.
#
#   kafka.sh start [--nodes 1|3] [--port P] [--also ADDRESS] [--log-dir I=PATH] [--set key=value]...
#   kafka.sh start I | stop [--wipe] | kill I|all | freeze I | thaw I | leader TOPIC PARTITION | status | tool CLASS ...
#
# Node I (1..N) is broker and controller, listens on P+10*(I-1), its controller one port above; with --also it also listens
# on ADDRESS, two ports above. `start I` brings one node back as it was configured. FASTN_KAFKA_PORT is the default port.
# --set adds a line to each server.properties (the last one wins). FASTN_KAFKA_HEAP (384m) bounds one node's heap.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=$services/kafka
jars=$cache/kafka
word=kafka.Kafka

fetch() {
  install java openjdk-17-jre-headless
  [ -f "$jars/complete" ] && return
  lock_cache
  if [ ! -f "$jars/complete" ]; then
    say "fetching Apache Kafka (54 MB, once)"
    maven -f "$here/kafka.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$jars/libs"
    # The class archive below is tied to the exact class path, so this is written down once, sorted.
    printf '%s\n' "$jars"/libs/*.jar | sort | paste -sd: >"$jars/classpath"
    local target; for target in OUT ERR; do
      printf '%s\n' 'status = error' 'appender.c.type = Console' 'appender.c.name = c' "appender.c.target = SYSTEM_$target" \
        'appender.c.layout.type = PatternLayout' 'appender.c.layout.pattern = [%d] %p %m (%c)%n' \
        "rootLogger.level = $([ $target = OUT ] && echo INFO || echo WARN)" 'rootLogger.appenderRef.c.ref = c' >"$jars/log-$target.properties"
    done
    touch "$jars/complete"
  fi
  unlock_cache
}

tool() {
  java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$jars/log-ERR.properties" -cp "$(cat "$jars/classpath")" "$@"
}

node_port() { echo $(($(cat "$dir/port") + 10 * ($1 - 1))); }
nodes() { seq 1 "$(cat "$dir/nodes" 2>/dev/null || echo 0)"; }
up() { running "$dir/$1/pid" $word; }
address() { local i list=; for i in $(nodes); do list+=${list:+,}127.0.0.1:$(node_port "$i"); done; echo "$list"; }

# configure I ALSO LOG_DIR: writes the node's server.properties
configure() {
  local i=$1 also=$2 log=${3:-$dir/$1/log} port copies=1 insync=1 voters='' n
  port=$(node_port "$i")
  if [ "$(cat "$dir/nodes")" -ge 3 ]; then copies=3; insync=2; fi
  for n in $(nodes); do voters+=${voters:+,}$n@127.0.0.1:$(($(node_port "$n") + 1)); done
  mkdir -p "$dir/$i"
  cat >"$dir/$i/server.properties" <<P
node.id=$i
process.roles=broker,controller
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,ALSO:PLAINTEXT
listeners=PLAIN://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))${also:+,ALSO://$also:$((port + 2))}
advertised.listeners=PLAIN://127.0.0.1:$port${also:+,ALSO://$also:$((port + 2))}
log.dirs=$log
auto.create.topics.enable=false
default.replication.factor=$copies
min.insync.replicas=$insync
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$insync
transaction.state.log.num.partitions=10
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$insync
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
# A dead broker is noticed in 2 s instead of 9, so that tests of its death are short.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
P
}

# launch I: formats the node's log if it is new, and starts it
launch() {
  local i=$1 d=$dir/$1 log archive classes
  log=$(sed -n 's/^log.dirs=//p' "$d/server.properties" | tail -1)
  if [ ! -f "$log/meta.properties" ]; then
    tool kafka.tools.StorageTool format -t "$(cat "$dir/cluster-id")" -c "$d/server.properties" --ignore-formatted >"$d/format.out" 2>&1 \
      || die "node $i: format failed, see $d/format.out"
  fi
  # A clean stop leaves an archive of the loaded classes, with which a start takes 2 s instead of 7.
  archive=$(archive_file); classes=-XX:ArchiveClassesAtExit=$d/classes.jsa
  [ -f "$archive" ] && classes=-XX:SharedArchiveFile=$archive
  [ "$i" = 1 ] || [ -f "$archive" ] || classes=-Xshare:auto
  : >"$d/out"
  setsid nohup java -server -Xms96m -Xmx"${FASTN_KAFKA_HEAP:-384m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto "$classes" \
    -Djava.awt.headless=true -Dlog4j2.configurationFile="$jars/log-OUT.properties" -cp "$(cat "$jars/classpath")" \
    $word "$d/server.properties" >>"$d/out" 2>&1 </dev/null 9>&- &
  echo $! >"$d/pid"
}

archive_file() { echo "$jars/classes-$(java -version 2>&1 | cksum | cut -d' ' -f1).jsa"; }
started_or_dead() { grep -q 'Kafka Server started' "$dir/$1/out" || ! up "$1"; }

wait_for() {
  await "${FASTN_WAIT_SECONDS:-90}" started_or_dead "$1" || die "node $1 is not up in time, see $dir/$1/out"
  up "$1" || { tail -20 "$dir/$1/out" >&2; die "node $1 died, see $dir/$1/out"; }
  # It says that it has started a moment before it listens.
  local at; for at in $(sed -n 's/^advertised.listeners=//p' "$dir/$1/server.properties" | tail -1 | tr ',' ' '); do
    await 20 listening "${at##*:}" "$(cut -d/ -f3 <<<"${at%:*}")" || die "node $1 does not listen at $at"
  done
}

start() {
  local count='' port=${FASTN_KAFKA_PORT:-} also='' lines='' i; declare -A log_dir=()
  while [ $# -gt 0 ]; do
    case $1 in
      --nodes) count=$2;; --port) port=$2;; --also) also=$2;; --set) lines+=$2$'\n';; --log-dir) log_dir[${2%%=*}]=${2#*=};;
      *) die "start: unknown option $1";;
    esac; shift 2
  done
  lock kafka; fetch; mkdir -p "$dir"
  if ! running_any; then
    if [ -n "$count" ] && [ "$count" != "$(cat "$dir/nodes" 2>/dev/null)" ]; then rm -rf "${dir:?}"/[1-9]*; fi
    echo "${count:-$(cat "$dir/nodes" 2>/dev/null || echo 1)}" >"$dir/nodes"
    echo "${port:-$(free_port "$(cat "$dir/port" 2>/dev/null || echo 29092)" 100 0 1 2 10 11 12 20 21 22)}" >"$dir/port"
    # An id that begins with a dash would be taken for an option.
    [ -s "$dir/cluster-id" ] || head -c16 /dev/urandom | base64 | tr '+/' 'pq' | cut -c1-22 >"$dir/cluster-id"
    for i in $(nodes); do configure "$i" "$also" "${log_dir[$i]:-}"; printf '%s' "$lines" >>"$dir/$i/server.properties"; done
  elif [ -n "$count" ] && [ "$count" != "$(cat "$dir/nodes")" ]; then
    die "$(cat "$dir/nodes") node(s) are running in $dir; stop them first"
  fi
  local begun=()
  for i in $(nodes); do up "$i" || { launch "$i"; begun+=("$i"); }; done
  for i in ${begun[@]+"${begun[@]}"}; do wait_for "$i"; done
  [ ${#begun[@]} = 0 ] || say "node(s) ${begun[*]} started in ${SECONDS} s"
  address
}

running_any() { local i; for i in $(nodes); do up "$i" && return; done; return 1; }

start_one() { lock kafka; [ -f "$dir/$1/server.properties" ] || die "there is no node $1"; up "$1" || { launch "$1"; wait_for "$1"; }; address; }

stop() {
  lock kafka
  local i signal=TERM pids=() pid
  # Nothing is worth a clean end when the data go, unless the class archive is still missing.
  [ "${1:-}" != --wipe ] || [ ! -f "$(archive_file)" ] || signal=KILL
  for i in $(nodes); do
    if up "$i"; then pid=$(cat "$dir/$i/pid"); kill -CONT "$pid"; kill -$signal "$pid"; pids+=("$pid"); fi
  done
  await 15 all_gone "${pids[@]}" || kill -KILL "${pids[@]}" 2>/dev/null || true
  await 5 all_gone "${pids[@]}" || say "still there: ${pids[*]}"
  if [ -s "$dir/1/classes.jsa" ]; then mv "$dir/1/classes.jsa" "$jars/new.$$"; mv "$jars/new.$$" "$(archive_file)"; fi
  if [ "${1:-}" = --wipe ]; then rm -rf "$dir"; fi
  say "stopped ${#pids[@]} node(s)"
}

all_gone() { local pid; for pid in "$@"; do kill -0 "$pid" 2>/dev/null && return 1; done; return 0; }

# signal SIGNAL I|all
signal() {
  local i list=$2 pids=(); [ "$2" = all ] && list=$(nodes)
  for i in $list; do if up "$i"; then kill "-$1" "$(cat "$dir/$i/pid")"; pids+=("$(cat "$dir/$i/pid")"); fi; done
  [ "$1" != KILL ] || await 10 all_gone "${pids[@]}"
}

# leader TOPIC PARTITION: one Metadata request (version 4) to the first node that answers
leader() {
  python3 - "$(address)" "$1" "$2" <<'PY'
import socket, struct, sys
addresses, topic, partition = sys.argv[1].split(","), sys.argv[2].encode(), int(sys.argv[3])
class Reader:
    def __init__(self, data): self.data, self.at = data, 0
    def take(self, form): value, = struct.unpack_from(">" + form, self.data, self.at); self.at += struct.calcsize(form); return value
    def text(self): n = self.take("h"); self.at += max(n, 0); return self.data[self.at - max(n, 0):self.at]
def ask(address):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 2) as s:
        body = struct.pack(">hhih", 3, 4, 1, -1) + struct.pack(">ih", 1, len(topic)) + topic + b"\0"
        s.sendall(struct.pack(">i", len(body)) + body)
        f = s.makefile("rb"); size, = struct.unpack(">i", f.read(4)); r = Reader(f.read(size))
    r.take("i"); r.take("i")
    for _ in range(r.take("i")): r.take("i"); r.text(); r.take("i"); r.text()
    r.text(); r.take("i")
    for _ in range(r.take("i")):
        r.take("h"); r.text(); r.take("b")
        for _ in range(r.take("i")):
            r.take("h"); index, leader = r.take("i"), r.take("i")
            for _ in range(2): count = r.take("i"); r.at += 4 * count
            if index == partition and leader > 0: return leader
for address in addresses:
    try: found = ask(address)
    except OSError: continue
    if found: print(found); sys.exit(0)
sys.exit(f"no node names a leader of {sys.argv[2]}/{partition}")
PY
}

status() {
  local i state
  for i in $(nodes); do
    state=down; if up "$i"; then state="up, pid $(cat "$dir/$i/pid")"; grep -q '^State:.*T' "/proc/$(cat "$dir/$i/pid")/status" && state="frozen"; fi
    echo "node $i 127.0.0.1:$(node_port "$i") $state"
  done
}

case ${1:-} in
  start) shift; if [[ ${1:-} =~ ^[0-9]+$ ]]; then start_one "$1"; else start "$@"; fi;;
  stop) shift; stop "$@";;
  kill) signal KILL "$2";; freeze) signal STOP "$2";; thaw) signal CONT "$2";;
  leader) leader "$2" "$3";;
  status) status;;
  tool) shift; fetch; tool "$@";;
  *) sed -n '2,10p' "$0" >&2; exit 2;;
esac
