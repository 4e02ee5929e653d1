#!/usr/bin/env bash
# The consumers of examples/consumers against a real Kafka and a real schema registry, and docs/asyncapi.yaml against the
# specification's own parser. Needs python3, node with npm, and the network once.
#
# First a history that is known to the byte, with a replaced writer's record that nobody may believe, once under local
# schema ids alone and once under both kinds. Then what a real node writes with all of them: it runs a workflow that makes
# one call, and both consumers must tell of the execution's start, its call and its end.
#
# What `cargo build --workspace --all-targets` made is used.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
cache=$root/target/consumers
built=${CARGO_TARGET_DIR:-$root/target}/debug
python=$cache/venv/bin/python
mkdir -p "$cache"

fail() { echo "consumers: $*" >&2; exit 1; }

prepare() {
    local wanted=examples/consumers/python/requirements.txt
    if ! cmp -s "$wanted" "$cache/requirements.txt"; then
        python3 -m venv "$cache/venv"
        "$cache/venv/bin/pip" install --quiet -r "$wanted"
        cp "$wanted" "$cache/requirements.txt"
    fi
    local folder
    for folder in examples/consumers/node tests/asyncapi; do
        if [ ! "$folder/node_modules" -nt "$folder/package-lock.json" ]; then
            npm ci --prefix "$folder" --silent --no-audit --no-fund
            touch "$folder/node_modules"
        fi
    done
}

# consume PROGRAM PREFIX [REGISTRY]: what it prints to the end of the topics, in an order that does not depend on fetching
consume() {
    local command=("$python" examples/consumers/python/consume.py)
    [ "$1" = node ] && command=(node examples/consumers/node/consume.mjs)
    timeout 120 "${command[@]}" --brokers "$kafka" --prefix "$2" ${3:+--registry "$3"} --until-end |
        "$python" -c 'import json, sys
for line in sorted((json.loads(line) for line in sys.stdin), key=lambda line: [line["topic"], line["partition"], line["offset"]]):
    print(json.dumps(line, sort_keys=True))'
}

# known PREFIX [REGISTRY]: writes the sample and holds what every consumer prints against it
known() {
    "$built/examples/topics_sample" "$kafka" "$@"
    local program
    for program in python node; do
        diff -u tests/consumers/sample.expected <(consume "$program" "$@") || fail "$program does not read the sample ($*)"
    done
    timeout 120 "$python" examples/consumers/python/cloudevents_reader.py --brokers "$kafka" --prefix "$1" \
        ${2:+--registry "$2"} --until-end | diff -u tests/consumers/cloudevents.expected - ||
        fail "the CloudEvents SDK does not read events ($*)"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

started=()
work=$(mktemp -d)
clean_up() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT

# start_node PREFIX: a node with every role, its log in Kafka under that prefix, its store in a database of its own
start_node() {
    local database=consumers_$$ server=$postgres
    tests/services/postgres.sh psql -qc "create database $database" >/dev/null
    server=${server%/*}/$database
    "$fastn" migrate --owner "$server" >/dev/null
    (umask 077 && head -c 32 /dev/urandom > "$work/master.key")
    printf 'kafka:\n  prefix: %s\n  replication: 1\n  min_insync: 1\n' "$1" > "$work/node.yaml"
    local as=${server#*@}
    local store=(--account acc_demo --data "$work/data" --log "kafka://$kafka" --store "postgres://fastn_app@$as"
        --store-projector "postgres://fastn_projector@$as" --master-key "$work/master.key")
    key=$("$fastn" access-keys create "${store[@]}" --json | grep -oE 'fsk_[A-Za-z0-9_-]+')
    "$fastn" serve --config "$work/node.yaml" --listen "127.0.0.1:$port" --partitions 2 "${store[@]}" \
        --schema-registry "$registry" --allow-private-addresses --log-level warn > "$work/node.out" 2>&1 &
    started+=($!)
    for _ in $(seq 1200); do
        curl -fsS -o /dev/null "http://127.0.0.1:$port/readyz" 2>/dev/null && return
        kill -0 "$!" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/node.out" >&2
    fail "the node did not start"
}

# real PREFIX: a workflow run by a node, as the consumers tell it
real() {
    fastn=$built/fastn port=$(free_port)
    local called execution program told key
    called=$(free_port)
    mkdir -p "$work/project/workflows" "$work/sink"
    python3 -m http.server "$called" --bind 127.0.0.1 --directory "$work/sink" > "$work/sink.out" 2>&1 &
    started+=($!)
    start_node "$1"
    export FASTN_URL=http://127.0.0.1:$port FASTN_ACCESS_KEY=$key FASTN_ACCOUNT_ID=acc_demo FASTN_TENANT_ID=cus_acme
    printf 'customers:\n  - id: cus_acme\n' > "$work/project/fastn.yaml"
    printf 'export default async (ctx: any) => (await fetch(ctx.input.url + "/?token=hidden")).status;\n' \
        > "$work/project/workflows/caller.ts"
    "$fastn" apply -f "$work/project" >/dev/null
    execution=$("$fastn" run caller --input "{\"url\": \"http://127.0.0.1:$called\"}" --json |
        "$python" -c 'import json, re, sys; print(re.search("exec_[a-z0-9]+", sys.stdin.read())[0])')
    for program in python node; do
        # The end comes when it comes, and the trace a moment after the call.
        for _ in $(seq 60); do
            told=$(consume "$program" "$1" "$registry" | grep "$execution" || true)
            [ "$(grep -cE '"traces"|"Finished"' <<< "$told")" = 2 ] && break
            sleep 0.5
        done
        printf '%s\n' "$told" > "$work/told"
        grep -q '"record": "Admitted", "status": "queued"' "$work/told" || fail "$program: no start in $told"
        grep -q '"record": "Finished", "status": "completed"' "$work/told" || fail "$program: no end in $told"
        grep -q "\"call\": \"GET http://127.0.0.1:$called\".*\"status\": 200" "$work/told" || fail "$program: no call in $told"
        ! grep -q hidden "$work/told" || fail "$program: a trace holds the query"
    done
}

prepare
kafka=$(tests/services/kafka.sh start | tail -1)
registry=$(tests/services/registry.sh start | tail -1)
postgres=$(tests/services/postgres.sh start | tail -1)
known "consumers-$$-local."
known "consumers-$$-both." "$registry"
real "consumers-$$-real."
node tests/asyncapi/validate.mjs docs/asyncapi.yaml
echo "consumers: ok"
