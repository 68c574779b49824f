#!/usr/bin/env bash
# Run the tests on a GPU, those that need one too, and leave a classifier trained on it in OUT.
#
#   tools/gpu/suite.sh OUT [WORKERS]
#
# Then, on a machine without a GPU: python tools/gpu/unpickle.py OUT/classifier.joblib
set -euo pipefail
out=$1 workers=${2:-8}
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
cd "$root"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
python3 tools/gpu/unpickle.py --make "$out/classifier.joblib"
# (verbose: a run that is cut short has named what failed)
python3 -m pytest -v tests -n "$workers" --dist worksteal --timeout 900
