#!/bin/sh
# Starts the shop: here that is no more than making its tables on the first start and noting what serves.
set -eu
tables="$DEPLOYKIT_SHARED/data/tables"
if [ ! -e "$tables" ]; then
  mkdir -p "$DEPLOYKIT_SHARED/data"
  printf 'customers\norders\n' >"$tables"
  echo "made the tables customers and orders"
fi
# It serves once the cache beside it is warm.
while [ -e "$DEPLOYKIT_SHARED/data/cold" ]; do sleep 0.05; done
printf '%s\n' "$DEPLOYKIT_REVISION" >"$DEPLOYKIT_SHARED/data/serving"
echo "the shop serves ${DEPLOYKIT_TAG:-$DEPLOYKIT_REVISION} on $DEPLOYKIT_HOST"
