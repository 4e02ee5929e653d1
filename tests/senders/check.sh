#!/usr/bin/env bash
# Official libraries of webhook providers, in Node and Python, send to a real fastn: Standard Webhooks, Svix, Stripe, Slack,
# Twilio, and Octokit for GitHub. Then every event must be there once, however often it was sent, and have run. Needs
# python3, node with npm, and the network once.
#
# The build's binary is used; `cargo build --bin fastn` makes it.
set -euo pipefail
cd "$(dirname "$0")/../.."
fastn=${CARGO_TARGET_DIR:-$PWD/target}/debug/fastn
cache=$PWD/target/senders
mkdir -p "$cache"

fail() { echo "senders: $*" >&2; exit 1; }

wanted=tests/senders/python/requirements.txt
if ! cmp -s "$wanted" "$cache/requirements.txt"; then
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet -r "$wanted"
    cp "$wanted" "$cache/requirements.txt"
fi
if [ ! tests/senders/node/node_modules -nt tests/senders/node/package-lock.json ]; then
    npm ci --prefix tests/senders/node --silent --no-audit --no-fund
    touch tests/senders/node/node_modules
fi

data=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
python3 tests/senders/python/app.py "$data/app" &
hub=$!
"$fastn" serve --data "$data" --listen "127.0.0.1:$port" --allow-private-addresses --log-level error > "$data/out" 2>&1 &
server=$!
trap 'kill "$server" "$hub" 2>/dev/null || true; wait "$server" "$hub" 2>/dev/null || true; rm -rf "$data"' EXIT
export FASTN_URL=http://127.0.0.1:$port
for _ in $(seq 600); do
    curl -fsS -o /dev/null "$FASTN_URL/readyz" 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || { cat "$data/out"; exit 1; }
    sleep 0.1
done
FASTN_ACCESS_KEY=$(cat "$data/access.key")
export FASTN_ACCESS_KEY
for _ in $(seq 100); do [ -s "$data/app.url" ] && break; sleep 0.1; done
sed "s|HUB_URL|$(cat "$data/app.url")|" tests/senders/project/apps/hub.yaml > "$data/hub.yaml"
cp -r tests/senders/project "$data/project" && cp "$data/hub.yaml" "$data/project/apps/hub.yaml"
"$fastn" apply -f "$data/project" > "$data/applied" || { cat "$data/applied"; fail "the project is not applied"; }
app=$("$fastn" apps url hub)

# The app was told of both triggers, with its URL and its token.
for trigger in hub-acme hub-beta; do
    "$fastn" trigger subscription $trigger | grep -q '"state": "subscribed"' || fail "$trigger is not subscribed"
done
grep -q "POST /hooks Bearer hub-token {\"account\":\"1\",\"target\":\"$app\"}" "$data/app" || { cat "$data/app"; fail "the app was asked otherwise"; }

node tests/senders/node/send.mjs "$FASTN_URL" "$app"
"$cache/venv/bin/python" tests/senders/python/send.py "$FASTN_URL" "$app"

# Notion hands its key over itself, and the person who pastes it back may see it.
[ "$("$fastn" secrets captured-token NOTION_TOKEN --customer cus_acme)" = secret_node ] || fail "Notion's token is not shown"

"$fastn" trigger list >/dev/null
curl -fsS -X DELETE -H "x-fastn-access-key: $FASTN_ACCESS_KEY" "$FASTN_URL/v1/triggers/hub-beta"
grep -q "DELETE /hooks/1" "$data/app" || fail "the app was not told to forget a trigger"

# Six schemes from Node and five from Python with two keys each, two app events from Node and one from Python, and one of Notion.
expected=26
for _ in $(seq 300); do
    delivered=$("$fastn" events list --limit 500 --json | python3 -c 'import json, sys
events = json.load(sys.stdin)
print(sum(event["status"] == "delivered" and len(event["executions"]) == 1 for event in events))')
    [ "$delivered" = "$expected" ] && break
    sleep 0.1
done
[ "$delivered" = "$expected" ] || { "$fastn" events list; fail "$delivered events were delivered, not $expected"; }
echo "senders: ok"
