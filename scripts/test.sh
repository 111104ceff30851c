#!/bin/sh
# All set-up, then every check. Arguments go to nox: sh scripts/test.sh --sessions lint types
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh dev
PATH=$PWD/.venv/bin:$PATH
export PATH
exec nox --no-venv "$@"
