#!/usr/bin/env bash
# Run the tests with the lowest or the highest versions of all that the package depends on.
#
#   tools/test_versions.sh lowest|highest [arguments of pytest]
#
# TORCH says which build of torch (see install_torch.sh), TORCH_VERSION which version, where that is
# not to be the lowest or the highest: CPU builds of all versions are not everywhere to be had.
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1:?"usage: $0 lowest|highest [arguments of pytest]"}
shift
venv=.venv-$which
case $(uname -s) in
    MINGW* | MSYS*) py=$venv/Scripts/python.exe ;;
    *) py=$venv/bin/python ;;
esac
constraints=$venv/constraints.txt

"${PYTHON:-python3}" -m venv --clear "$venv"
chosen="not slow"
case $which in
    lowest)
        chosen="not slow and not one_version"
        "$py" tools/lowest_versions.py >"$constraints"
        lowest_torch=$(sed -n 's/^torch==//p' "$constraints")
        sed -i '/^torch==/d' "$constraints"
        TORCH_VERSION=${TORCH_VERSION:-$lowest_torch} \
            tools/install_torch.sh "$py" "${TORCH:-auto}" "$venv/torch.txt"
        cat "$venv/torch.txt" >>"$constraints"
        ;;
    highest)
        tools/install_torch.sh "$py" "${TORCH:-auto}" "$constraints"
        ;;
    *)
        echo "Unknown versions: '$which'. They are lowest or highest." >&2
        exit 2
        ;;
esac
"$py" -m pip install --quiet --disable-pip-version-check --constraint "$constraints" \
    --editable '.[dev]'
"$py" -m pip list --disable-pip-version-check |
    grep -E '^(joblib|numpy|safetensors|scikit-learn|scipy|skorch|tokenizers|torch|tqdm) '
"$py" -m pytest -m "$chosen" "$@"
