#!/usr/bin/env bash
# Install torch into a virtual environment, without gigabytes of CUDA that nothing can use.
#
#   tools/install_torch.sh PYTHON [auto|cpu|pypi] [CONSTRAINTS]
#
# On Linux the torch of PyPI needs NVIDIA's libraries: it pulls them in as dependencies, and does not
# even import without them. The CPU build has a version of its own, such as 2.13.0+cpu. PyPI takes no
# such versions, so asking for exactly that one can never end with a CUDA build: pip finds the CPU
# build, or it fails.
#
#   auto  pypi if nvidia-smi finds a GPU or this is not Linux, else cpu
#   cpu   the CPU build: from where pip is set up to look, or else from TORCH_INDEX
#   pypi  whatever pip takes by default
#
# A torch that is already there stays. CONSTRAINTS, if given, is written as a constraints file for
# pip that holds later installs to this torch.
set -euo pipefail

python=${1:?"usage: $0 PYTHON [auto|cpu|pypi] [CONSTRAINTS]"}
build=${2:-auto}
constraints=${3:-}
# Without TORCH_VERSION: this CPU build, or what pip takes.
cpu_version=${TORCH_VERSION:-2.13.0}
: "${TORCH_INDEX:=https://download.pytorch.org/whl/cpu}"

pip_install() {
    "$python" -m pip install --disable-pip-version-check "$@"
}

installed_version() {
    "$python" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null
}

install_cpu_build() {
    local wanted="torch==$cpu_version+cpu"
    # Most set-ups of pip do not have it: that is no error to show. Any other error shows below.
    if pip_install "$wanted" 2>/dev/null; then
        return
    fi
    echo "Not where pip looks by itself. Looking at $TORCH_INDEX too:"
    if pip_install --extra-index-url "$TORCH_INDEX" "$wanted"; then
        return
    fi
    cat >&2 <<EOF

The CPU build of torch ($wanted) was not found, neither where pip looks by itself nor at
$TORCH_INDEX. You can
  - name an index or a mirror that has it:  TORCH_INDEX=... make
  - ask for another release:                TORCH_VERSION=... make
  - take PyPI's, with several GB of CUDA:   make TORCH=pypi
EOF
    return 1
}

case $build in
    auto)
        if [ "$(uname -s)" != Linux ] || nvidia-smi >/dev/null 2>&1; then
            build=pypi
        else
            build=cpu
        fi
        ;;
    cpu | pypi) ;;
    *)
        echo "Unknown build of torch: '$build'. It is auto, cpu or pypi." >&2
        exit 2
        ;;
esac

if installed_version >/dev/null; then
    echo "torch $(installed_version) is there already."
elif [ "$build" = cpu ]; then
    echo "No NVIDIA GPU is used: installing the CPU build of torch $cpu_version."
    install_cpu_build
else
    echo "Installing torch as PyPI has it."
    pip_install "torch${TORCH_VERSION:+==$TORCH_VERSION}"
fi

if [ -n "$constraints" ]; then
    echo "torch==$(installed_version)" >"$constraints"
fi
