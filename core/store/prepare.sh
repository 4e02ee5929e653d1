#!/usr/bin/env bash
# Writes core/store/.sqlx: what PostgreSQL says of every checked query, so that a build needs no database.
# Run it after a change of a query or of migrations/postgres. With --check it changes nothing and fails if .sqlx has drifted.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
made=$(mktemp -d)
url=${FASTN_PREPARE_URL:-$("$root/tests/services/postgres.sh" start | tail -1)}
database=fastn_prepare_$$
server() { psql -X -q -v ON_ERROR_STOP=1 -d "$url" "$@"; }
end() { rm -rf "$made"; server -c "DROP DATABASE IF EXISTS $database WITH (FORCE)"; }
trap end EXIT

server -c "CREATE DATABASE $database"
own=$(echo "$url" | sed -E "s#^(postgres(ql)?://[^/]+)/[^?]*#\1/$database#")
cat "$root"/migrations/postgres/*.sql | psql -X -q -1 -v ON_ERROR_STOP=1 -d "$own" -f -
# The table that the migrations themselves are kept in.
psql -X -q -d "$own" -c "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
  installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)"
# The macros write what they learn while they are expanded, so the crate must be compiled anew.
touch "$here/src/lib.rs"
DATABASE_URL=$own SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$made cargo check -q --manifest-path "$root/Cargo.toml" -p fastn-store
touch "$here/src/lib.rs"
if [ "${1:-}" = --check ]; then
  diff -r "$made" "$here/.sqlx" || { echo "core/store/.sqlx has drifted: run core/store/prepare.sh" >&2; exit 1; }
else
  rm -rf "$here/.sqlx"
  cp -r "$made" "$here/.sqlx"
  chmod -R u=rwX,go=rX "$here/.sqlx"
fi
