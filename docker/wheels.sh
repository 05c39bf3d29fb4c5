#!/bin/sh
# Every wheel that FedValue needs at run time, at the versions of constraints.txt, in one folder.
#
#   sh docker/wheels.sh OUT [EXTRA]
#
# With the extra `train` also what a site needs that takes part in trainings (torch, opacus, onnx).
#
# Where docker/bundle holds wheels already, they are checked against their SHA256SUMS and copied, and no
# registry is asked. Otherwise the project's own wheel is built, and the others come from wherever pip is
# set up to look. Wheels only: nothing of a dependency is compiled or run here.
set -eu

[ $# -eq 1 ] || [ $# -eq 2 ] || { echo "usage: sh docker/wheels.sh OUT [EXTRA]" >&2; exit 2; }
extra=${2:+[$2]}
mkdir -p "$1"
out=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
bundle="$root/docker/bundle"

if [ -f "$bundle/SHA256SUMS" ] && [ "$out" != "$bundle" ]; then
    (cd "$bundle" && sha256sum --check --quiet --strict SHA256SUMS)
    awk '{ print $2 }' "$bundle/SHA256SUMS" | while read -r name; do cp "$bundle/$name" "$out/$name"; done
    cp "$bundle/SHA256SUMS" "$out/SHA256SUMS"
    echo "took $(ls "$out" | grep -c '[.]whl$') wheels from docker/bundle"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f "$out"/*.whl "$out/SHA256SUMS"
python3 -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --disable-pip-version-check --no-input --quiet"
$pip install -c "$root/constraints.txt" hatchling
$pip wheel --no-build-isolation --no-deps --wheel-dir "$out" "$root"
$pip download --only-binary :all: -c "$root/constraints.txt" --dest "$out" "$(echo "$out"/fedvalue-*.whl)$extra"
(cd "$out" && sha256sum *.whl > SHA256SUMS)
echo "made $(ls "$out" | grep -c '[.]whl$') wheels in $out"
