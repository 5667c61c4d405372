#!/usr/bin/env bash
# Kills a process that writes to a ledger, a thousand times (or as many as the argument says), and
# looks each time whether everything is there that was answered. Another seed, other moments.
set -euo pipefail
cd "$(dirname "$0")/.."
NADMIT_CRASHES=${1:-1000} NADMIT_CRASH_SEED=${2:-$RANDOM} \
  cargo test --locked --test it -- crash:: --nocapture
