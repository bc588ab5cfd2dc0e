#!/bin/sh
# The shop's health: each table that this release reads must be there, and this release must be the one that serves.
set -eu
while read -r table; do
  if ! grep -qx "$table" "$DEPLOYKIT_SHARED/data/tables"; then
    echo "GET /health 500 \"no such table: $table\""
    exit 1
  fi
done <tables
if [ "$(cat "$DEPLOYKIT_SHARED/data/serving")" != "$DEPLOYKIT_REVISION" ]; then
  echo 'GET /health 500 "another release serves"'
  exit 1
fi
echo 'GET /health 200 "ok"'
