#!/bin/sh
# Draws the flame graph of `nadmit serve` under load: docs/images/validate-flame.svg.
# Needs wrk, perf, perl and inferno (cargo install inferno).
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
export CARGO_PROFILE_BENCH_DEBUG=line-tables-only
cargo bench --bench load --no-run

# The first load of a round is that of nadmit.
NADMIT_LOAD_PAIRS=1 NADMIT_LOAD_SECONDS=10 cargo bench --bench load >"$folder/run" &
until grep -q '^pair' "$folder/run" && nadmit=$(pgrep -n -x nadmit); do sleep 0.1; done
sleep 2
perf record -q -e cpu-clock -F 997 --call-graph dwarf,65528 -p "$nadmit" -o "$folder/perf" -- sleep 6

# The runtime below a connection is left out, the kernel is one frame, and names have two segments.
perf script -i "$folder/perf" --no-inline 2>/dev/null |
    inferno-collapse-perf --kernel |
    perl -ne '
        next unless s/^.*TrackedFuture[^;]*;/a connection;/;
        s/;([^;]+_\[k\])(;[^;]+?_\[k\])*(?= \d+$)/;kernel/;
        s/-> //g;
        s/::\{\{closure\}\}//g;
        1 while s/<&?(?:mut )?([\w:]+)(?:<[^<>]*>)? as [^<>]*>/$1/;
        1 while s/<[^<>]*>//g;
        s/::(?=[; ])//g;
        s/(?<=;)::|::(?=::)//g;
        s/(?<=;)(?:[^;: ]+::)+([^;: ]+::[^;: ]+)/$1/g;
        print' |
    inferno-flamegraph --minwidth 0.4 --width 1200 --title 'nadmit serve: POST /validate' \
        >docs/images/validate-flame.svg
wait
rm -r "$folder"
