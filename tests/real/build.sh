#!/usr/bin/env bash
# Builds the real programs that nadmit meets in a cluster, from the Go modules that the folders next to
# this script pin, into a cache. README.md lists them and says how to add one.
set -euo pipefail

usage='usage: build.sh [PART|GROUP…]       build, and print "PART VERSION FOLDER" for each; all without arguments
       build.sh --where PART       print the folder of a built part
       build.sh --versions         print what the built binaries say of their version
parts: etcd kubernetes kubernetes-old plugins whereabouts multus network-resources-injector kubemacpool
       net-attach-def-admission-controller kubevirt-ipam-controller
group: neighbours (the last four)'

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${NADMIT_REAL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nadmit-real}

neighbours=(network-resources-injector kubemacpool net-attach-def-admission-controller kubevirt-ipam-controller)
parts=(etcd kubernetes plugins whereabouts kubernetes-old multus "${neighbours[@]}")

export GOTOOLCHAIN=local GOWORK=off GO111MODULE=on CGO_ENABLED=0
export GOFLAGS='-mod=readonly -trimpath -buildvcs=false'

fail() {
  printf '%s\n' "$*" >&2
  exit 2
}

# Prints the module that determines the version of a part.
module() {
  case $1 in
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    kubernetes | kubernetes-old) echo k8s.io/kubernetes ;;
    plugins) echo github.com/containernetworking/plugins ;;
    whereabouts) echo github.com/k8snetworkplumbingwg/whereabouts ;;
  esac
}

# Prints the version of that module, as the part's go.mod pins it.
version() {
  awk -v module="$(module "$1")" '$1 == "require" { $0 = substr($0, 8) } $1 == module && $2 ~ /^v/ { print $2; exit }' \
    "$here/$1/go.mod"
}

# Prints the linker flags with which the binaries print their real version.
linked() {
  local part=$1 version=$2 minor date package
  printf -- '-s -w'
  case $part in
    kubernetes*)
      minor=${version#v1.}
      date=$(cd "$here/$part" && go list -m -f '{{with .Time}}{{.Format "2006-01-02T15:04:05Z"}}{{end}}' \
        "$(module "$part")") || date=
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf -- ' -X %s.%s' "$package" "gitVersion=$version" "$package" 'gitMajor=1' \
          "$package" "gitMinor=${minor%%.*}" "$package" 'gitCommit=unknown' "$package" 'gitTreeState=archive' \
          "$package" "buildDate=${date:-1970-01-01T00:00:00Z}"
      done
      ;;
    plugins)
      printf -- ' -X %s/pkg/utils/buildversion.BuildVersion=%s' "$(module "$part")" "$version"
      ;;
    whereabouts)
      package=$(module "$part")/pkg/version
      printf -- ' -X %s.Version=%s -X %s.ReleaseStatus=released' "$package" "$version" "$package"
      ;;
  esac
}

# Prints binaries that are renamed after the build: "BUILT NAME" lines.
renamed() {
  case $1 in
    etcd) echo 'server etcd' ;;
    whereabouts) printf '%s\n' 'cmd whereabouts' 'controlloop ip-control-loop' \
      'nodeslicecontroller node-slice-controller' ;;
  esac
}

# Prints why a part without a folder of its own is not built.
refused() {
  case $1 in
    multus) echo 'the module registry refuses the module; MULTUS=PATH names a binary to use' ;;
    *) echo 'the module registry refuses the module' ;;
  esac
}

# Prints the folder of a part's binaries: its name changes with every input of the build.
folder() {
  local part=$1
  if [ "$part" = multus ]; then
    [ -x "${MULTUS:-}" ] && [ -f "$MULTUS" ] || return 1
    echo "$cache/store/multus-$(realpath "$MULTUS" | sha256sum | cut -c -16)"
    return
  fi
  [ -f "$here/$part/go.mod" ] && command -v go >/dev/null || return 1
  local hash
  hash=$(cd "$here/$part" && { go version && declare -f linked renamed && cat go.mod go.sum &&
    find . -name '*.go' | sort | xargs -r cat; } | sha256sum | cut -c -16)
  echo "$cache/store/$part-$hash"
}

# Replaces a link in one step.
link() {
  local target=$1 name=$2
  ln -s "$target" "$name.$$"
  mv -Tf "$name.$$" "$name"
}

# Fills the folder $2 with the binaries of part $1; the go command's output goes to the log $3.
compile() {
  local part=$1 into=$2 log=$3 flags built name
  flags=$(linked "$part" "$(version "$part")" 2>/dev/null)
  (cd "$here/$part" && go build -ldflags "$flags" -o "$into/" tool) >>"$log" 2>&1 || return 1
  while read -r built name; do
    mv "$into/$built" "$into/$name" || return 1
  done < <(renamed "$part")
}

# Prints the most useful line of a log: the first error of the go command, or of the compiler.
reason() {
  grep -v -e '^go: downloading' -e '^go: finding' -e '^#' "$1" | sed -n '1s/^go: //;1p'
}

taken=()

build() {
  local part=$1 folder version log temporary
  if ! folder=$(folder "$part"); then
    if [ -f "$here/$part/go.mod" ]; then
      echo "$part not built: no go command"
    elif [ "$part" = multus ] && [ -n "${MULTUS:-}" ]; then
      echo "$part not built: MULTUS names no binary: $MULTUS"
    else
      echo "$part not built: $(refused "$part")"
    fi
    # A call with another MULTUS may have linked it.
    [ "$part" != multus ] || rm -f "$cache/current/multus"
    return
  fi
  mkdir -p "$cache/store" "$cache/current"
  if [ "$part" = multus ]; then
    version=given
  else
    version=$(version "$part")
  fi
  if [ ! -d "$folder" ]; then
    # One build at a time: a call that waited finds it done.
    exec 9>"$cache/store/$part.lock"
    flock 9
    rm -rf "$cache/store/.building.$part."*
  fi
  if [ ! -d "$folder" ]; then
    temporary=$(mktemp -d "$cache/store/.building.$part.XXXXXX")
    log=$temporary.log
    trap 'rm -rf "$temporary" "$log"' EXIT
    chmod 755 "$temporary"
    if [ "$part" = multus ]; then
      ln -s "$(realpath "$MULTUS")" "$temporary/multus"
    else
      printf 'building %s %s\n' "$part" "$version" >&2
      local TIMEFORMAT='%0R %0U %0S' took code=0
      took=$({ time compile "$part" "$temporary" "$log" 2>/dev/null; } 2>&1) || code=$?
      if [ $code -ne 0 ]; then
        uniq "$log" | tail -n 20 >&2
        echo "$part not built: $(reason "$log")"
        rm -rf "$temporary" "$log"
        trap - EXIT
        exec 9>&-
        return
      fi
      read -r wall user system <<<"$took"
      taken+=("$part $version: $wall s, of the processors' time $((user + system)) s")
    fi
    mv -T "$temporary" "$folder"
    rm -f "$log"
    trap - EXIT
  fi
  exec 9>&-
  [ "$(readlink "$cache/current/$part" || true)" = "../store/${folder##*/}" ] ||
    link "../store/${folder##*/}" "$cache/current/$part"
  echo "$part $version $folder"
}

# Prints the version that a binary reports, in one line.
said() {
  local binary=$1 name=${1##*/}
  case $name in
    kube-apiserver | kube-controller-manager | kube-scheduler | etcd) "$binary" --version ;;
    kubectl) "$binary" version --client ;;
    ip-control-loop | node-slice-controller | multus) go version -m "$binary" |
      awk '$1 == "mod" || $1 == "dep" { print $2, $3 }' | grep -m 1 -e /whereabouts -e /multus-cni ;;
    # A CNI plugin without CNI_COMMAND prints its name and version.
    *) env -u CNI_COMMAND "$binary" </dev/null ;;
  esac 2>&1 | head -n 1
}

versions() {
  local part folder binary
  for part in "${parts[@]}"; do
    if folder=$(folder "$part") && [ -d "$folder" ]; then
      for binary in "$folder"/*; do
        printf '%s %s: %s\n' "$part" "${binary##*/}" "$(said "$binary" || true)"
      done
    else
      echo "$part: not built"
    fi
  done
}

known() {
  local part
  for part in "${parts[@]}"; do
    [ "$part" = "$1" ] && return
  done
  return 1
}

case ${1:-} in
  -h | --help)
    echo "$usage"
    exit
    ;;
  --where)
    [ $# -eq 2 ] && known "$2" || fail "$usage"
    found=$(folder "$2") && [ -d "$found" ] || {
      echo "$2 is not built" >&2
      exit 1
    }
    echo "$found"
    exit
    ;;
  --versions)
    [ $# -eq 1 ] || fail "$usage"
    versions
    exit
    ;;
esac

asked=()
for name in "$@"; do
  if [ "$name" = neighbours ]; then
    asked+=("${neighbours[@]}")
  elif known "$name"; then
    asked+=("$name")
  else
    fail "no such part: $name
$usage"
  fi
done
[ $# -gt 0 ] || asked=("${parts[@]}")

for part in "${asked[@]}"; do
  build "$part"
done
[ ${#taken[@]} -eq 0 ] || printf 'took: %s\n' "${taken[@]}" >&2
