#!/usr/bin/env bash
# Makes the file system of the image in a folder: one static binary, and the folders that are mounted over.
# The Dockerfile runs it, and so does a test, without Docker.
#
#   deploy/build-root.sh FOLDER [BINARY]
#
# Without a BINARY it is built, for TARGET (this machine's GNU/Linux if nothing is said), with the list of
# its crates inside if cargo-auditable is there.
set -euo pipefail
root=$(realpath -m "${1:?usage: deploy/build-root.sh FOLDER [BINARY]}")
binary=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."
if [ -z "$binary" ]; then
  target=${TARGET:-$(uname -m)-unknown-linux-gnu}
  build=(cargo build)
  if command -v cargo-auditable >/dev/null 2>&1; then build=(cargo auditable build); fi
  # Static glibc: no libc is needed in the image.
  RUSTFLAGS="-C target-feature=+crt-static" "${build[@]}" --package nadmit --profile dist --locked --target "$target"
  binary=${CARGO_TARGET_DIR:-target}/$target/dist/nadmit
fi
mkdir -p "$root"/{certs,manifests,run/nadmit,var/lib/nadmit}
install -m 0755 "$binary" "$root/nadmit"
# What nadmit writes, where no volume is mounted; the rest is root's.
if [ "$(id -u)" = 0 ]; then
  chown 65532:65532 "$root"/{certs,run/nadmit,var/lib/nadmit}
fi
