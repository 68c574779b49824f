#!/usr/bin/env bash
# Make the results of benchmarks/results/ that are missing, on a machine with a GPU.
#
#   tools/gpu/results.sh DATA [MINUTES]
#
# Long runs go to the GPU, six beside one another, short ones to the CPU's other cores.
set -euo pipefail
data=$1 minutes=${2:-9}
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
lanes=$(($(nproc) > 7 ? $(nproc) - 6 : 1))
python3 "$root/benchmarks/everything.py" "$data" --gpu-lanes 6 --lanes "$lanes" --minutes "$minutes"
