#!/bin/sh
# Tries the running server with generated requests: no 5xx, no undocumented answer, no answer outside its schema.
#
#   tests/api/schemathesis.sh URL ACCESS_KEY [SECONDS]
#
# SCHEMATHESIS_SEED makes a run repeat another's.
# Needs python3 and the network once, to install schemathesis into .venv beside this file.
set -eu
url=${1:?usage: schemathesis.sh URL ACCESS_KEY [SECONDS]}
key=${2:?usage: schemathesis.sh URL ACCESS_KEY [SECONDS]}
seconds=${3:-60}
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.venv
if [ ! -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'schemathesis==4.32.5'
fi
cd "$here"
# The stream never ends by itself, and metrics and pages are no JSON API; they have tests of their own.
# Data that the schema allows may still be refused for what no schema can say (a workflow that does not compile, a trigger
# whose paths do not parse), so acceptance is not checked.
exec "$venv/bin/schemathesis" run ${SCHEMATHESIS_SEED:+--seed "$SCHEMATHESIS_SEED"} "$url/openapi.json" --url "$url" \
    --header "x-fastn-access-key: $key" \
    --exclude-operation-id followExecutions \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method,ignored_auth \
    --phases examples,coverage,fuzzing --max-examples 20 --max-time "$seconds" --request-timeout 70 --no-color
