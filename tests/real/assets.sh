#!/usr/bin/env bash
# Prints the folder to use as KUBEBUILDER_ASSETS: etcd, kube-apiserver, the controllers and kubectl, of the newest
# Kubernetes, or of the oldest with the argument kubernetes-old. Builds missing programs first.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${NADMIT_REAL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nadmit-real}

case ${1:-kubernetes} in
  kubernetes) name=assets ;;
  kubernetes-old) name=assets-old ;;
  *)
    echo 'usage: assets.sh [kubernetes|kubernetes-old]' >&2
    exit 2
    ;;
esac
group=${1:-kubernetes}

"$here/build.sh" etcd "$group" >&2
etcd=$("$here/build.sh" --where etcd)
kubernetes=$("$here/build.sh" --where "$group")

etcd=${etcd##*/} kubernetes=${kubernetes##*/}
folder=$cache/store/assets-${kubernetes##*-}-${etcd##*-}
if [ ! -d "$folder" ]; then
  temporary=$(mktemp -d "$cache/store/.assets.XXXXXX")
  trap 'rm -rf "$temporary"' EXIT
  chmod 755 "$temporary"
  for binary in "$cache/store/$etcd"/* "$cache/store/$kubernetes"/*; do
    ln -s "../$(basename "$(dirname "$binary")")/${binary##*/}" "$temporary/"
  done
  # A concurrent call may have created it.
  mv -T "$temporary" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
ln -s "../store/${folder##*/}" "$cache/current/$name.$$"
mv -Tf "$cache/current/$name.$$" "$cache/current/$name"
echo "$folder"
