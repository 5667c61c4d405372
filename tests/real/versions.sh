#!/usr/bin/env bash
# Runs the end-to-end tests twice: with the newest Kubernetes that tests/real pins, and with the oldest.
# Arguments go to the test binary, after "e2e". Fails if a run fails, or if a Kubernetes cannot be built.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit

code=0 results=()
for group in kubernetes kubernetes-old; do
  if ! assets=$("$here/assets.sh" "$group"); then
    results+=("$group: not run, it is not built")
    code=1
    continue
  fi
  version=$("$assets/kube-apiserver" --version)
  printf '\n=== e2e with %s\n' "$version"
  if KUBEBUILDER_ASSETS=$assets cargo test --locked --test it -- e2e "$@"; then
    results+=("$group ($version): passed")
  else
    results+=("$group ($version): failed")
    code=1
  fi
done
printf '\n'
printf '%s\n' "${results[@]}"
exit $code
