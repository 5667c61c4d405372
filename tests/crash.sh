#!/usr/bin/env bash
# Kills a process that writes to a ledger, a thousand times (or as often as the first argument says), and
# checks each time that every acknowledged write is there. The second argument is a seed for the times of the kills.
set -euo pipefail
cd "$(dirname "$0")/.."
NADMIT_CRASHES=${1:-1000} NADMIT_CRASH_SEED=${2:-$RANDOM} \
  cargo test --locked --test it -- crash:: --nocapture
