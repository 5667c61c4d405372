#!/bin/sh
# Runs many simulated scenarios (tests/it/simulation) in release mode, and prints the seeds that fail.
#
#   tests/simulate.sh [COUNT [FIRST]]    by default 100000 scenarios from seed 0
#
# With NADMIT_MACHINES=1 in the environment there are virtual machines, too.
#
# Each processor runs a share of them. The event log of a failing scenario is written to
# target/simulation/SEED.log; NADMIT_SEED=SEED cargo test --test it simulation::one replays it.
set -eu
cd "$(dirname "$0")/.."
count=${1:-100000}
first=${2:-0}
jobs=${JOBS:-$(nproc)}
built=$(cargo test --release --test it --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/it-[^"]*\)".*/\1/p' | tail -1)
out=target/simulation
mkdir -p "$out"
rm -f "$out"/*.txt

share() {
    NADMIT_FROM=$((first + $1)) NADMIT_COUNT=$((count - $1)) NADMIT_STEP=$jobs \
        "$built" --exact simulation::many >"$out/$1.txt" 2>&1 || true
}

job=0
while [ "$job" -lt "$jobs" ]; do
    share "$job" &
    job=$((job + 1))
done
wait

broken=$(sed -n 's/^seed \([0-9]*\): .*/\1/p' "$out"/*.txt | sort -n)
if [ -z "$broken" ]; then
    if [ "$(grep -l '^test result: ok' "$out"/*.txt | wc -l)" -eq "$jobs" ]; then
        echo "$count scenarios from seed $first: no failure"
        exit 0
    fi
    cat "$out"/*.txt
    exit 1
fi
sed -n 's/^\(seed [0-9]*: .*\)/\1/p' "$out"/*.txt
for seed in $broken; do
    NADMIT_SEED=$seed "$built" --exact simulation::one --nocapture >"$out/$seed.log" 2>&1 || true
    echo "$out/$seed.log; again: NADMIT_SEED=$seed cargo test --test it simulation::one -- --nocapture"
done
exit 1
