#!/bin/sh
# Draws the units of an application and its results, as they come, from the presentation hook:
#   darta route --engine nats://broker --hook 127.0.0.1:8080 & examples/results.sh http://127.0.0.1:8080 top
set -eu
app="$1/v1/apps/$2"
curl -sf "$app/units" | jq -r '["UNIT", "ANALYSED", "LATE", "LOST"], (.[] | [.id, .analysed, .late, .lost]) | @tsv' | expand -t 24,36,44
printf 'SOURCE\tPORT\tOCTETS\tPACKETS\n' | expand -t 40,48,64
curl -sfN "$app/results" |
  jq -r --unbuffered 'select(has("_scope") | not) |
    [.sourceIPv4Address // .sourceIPv6Address, .destinationTransportPort, .octetDeltaCount, .packetDeltaCount] | @tsv' |
  while IFS= read -r row; do printf '%s\n' "$row" | expand -t 40,48,64; done
