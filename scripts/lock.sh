#!/bin/sh
# Write requirements/*.txt from the pyproject files, with hashes; needs uv. sh scripts/lock.sh --upgrade takes newer versions.
set -eu
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never

lock() {
    target=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --output-file "requirements/$target.txt" \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        $(for plugin in . plugins/*/; do sed -n 's/^name = "\(lepton-[a-z0-9-]*\)"$/--no-emit-package \1/p' "$plugin/pyproject.toml"; done) \
        pyproject.toml plugins/*/pyproject.toml "$@"
}

lock dev --group dev "$@"
lock run --group build --constraint requirements/dev.txt "$@"
