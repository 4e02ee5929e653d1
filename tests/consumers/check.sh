#!/usr/bin/env bash
# The consumers of examples/consumers against a real Kafka and a real schema registry, and docs/asyncapi.yaml against the
# specification's own parser. Needs python3, node with npm, and the network once.
#
# First a history that is known to the byte, with a replaced writer's record that nobody may believe, once under local
# schema ids alone and once under both kinds.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
cache=$root/target/consumers
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
    cargo run --quiet -p fastn-log --example topics_sample -- "$kafka" "$@"
    local program
    for program in python node; do
        diff -u tests/consumers/sample.expected <(consume "$program" "$@") || fail "$program does not read the sample ($*)"
    done
    timeout 120 "$python" examples/consumers/python/cloudevents_reader.py --brokers "$kafka" --prefix "$1" \
        ${2:+--registry "$2"} --until-end | diff -u tests/consumers/cloudevents.expected - ||
        fail "the CloudEvents SDK does not read events ($*)"
}

prepare
kafka=$(tests/services/kafka.sh start | tail -1)
registry=$(tests/services/registry.sh start | tail -1)
known "consumers-$$-local."
known "consumers-$$-both." "$registry"
node tests/asyncapi/validate.mjs docs/asyncapi.yaml
echo "consumers: ok"
