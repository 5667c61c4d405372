#!/usr/bin/env bash
# Pins a part to a version: pin.sh PART MODULE@VERSION. Rewrites the part's go.mod with the tools that it lists and
# the replacements of the module's own go.mod; replacements by folders of its repository become the modules that are
# published from these folders.
set -euo pipefail
[ $# -eq 2 ] && [[ $2 == *@v* ]] || {
  echo 'usage: pin.sh PART MODULE@VERSION' >&2
  exit 2
}
part=$1 module=${2%@*} version=${2#*@}
cd "$(dirname "${BASH_SOURCE[0]}")/$part"
export GOTOOLCHAIN=local GOWORK=off GOFLAGS=

own=$(go mod download -json "$module@$version" | awk -F'"' '$2 == "GoMod" { print $4 }')
# Kubernetes publishes its folders as v0.X.Y.
case $module in
  k8s.io/kubernetes) published=v0.${version#v1.} ;;
  *) published=$version ;;
esac

tools=$(go mod edit -json |
  awk -F'"' '/"Tool":/ { tools = 1 } tools && $2 == "Path" { print $4 } /^\t\]/ { tools = 0 }')
replaced=$(awk -v published="$published" '
  $1 == "replace" && $2 != "(" { $0 = substr($0, 9) }
  $2 == "=>" && $3 ~ /^\./ { print $1, "=>", $1, published; next }
  $2 == "=>" || $3 == "=>" { sub(/^[ \t]+/, ""); print }
' "$own")
{
  printf 'module nadmit.example/real/%s\n' "$part"
  grep -e '^go ' -e '^godebug ' "$own"
  printf 'tool (\n%s\n)\nrequire %s %s\n' "$tools" "$module" "$version"
  [ -z "$replaced" ] || printf 'replace (\n%s\n)\n' "$replaced"
} >go.mod.new
trap 'rm -f go.mod.new' EXIT
mv go.mod.new go.mod
go mod edit -fmt
go mod tidy
