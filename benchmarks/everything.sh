#!/usr/bin/env bash
# Make the results of benchmarks/results/ that are not there yet, then the report.
#
#   bash benchmarks/everything.sh DATA FASTAI_PYTHON [TABLE ...]
#
# DATA is the folder of the data sets, FASTAI_PYTHON the interpreter of a virtual environment with
# fastai 2.8.12. TABLE is one of docs/results.md: full, few, peer, paper or calibration; none means
# all of these. (Those of speed and of pretraining have commands of their own there.) Every run takes
# one thread, and as many go on at once as LANES says. Interrupted, the same command goes on: runs
# whose results are there are left out.
set -euo pipefail
usage="usage: everything.sh DATA FASTAI_PYTHON [full|few|peer|paper|calibration ...]"
data=$(realpath "${1:?$usage}")
peer=${2:?$usage}
shift 2
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1

# The tables that a run is shown in, and the run.
runs() {
    local five="--seed 0 1 2 3 4" three="--seed 0 1 2"
    local part="--test-rows 2000" simple="tfidf fasttext minilm" fastai="fastai --peer $peer"
    local reviews="--lm-epochs 1 --lm-amp --lm-checkpoints checkpoints/imdb"
    local ours="en-small en-small-plain"
    cat <<RUNS
full        compare.py --set sst2 banking77 --model $simple $ours
full        compare.py --set trec6 $three --model $simple $ours
full        compare.py --set banking77 --model ulmfit ulmfit-both en-small-both en-small-plain-both
full        compare.py --set trec6 $three --model ulmfit ulmfit-both
few,peer    compare.py --set trec6 --labels 500 $five --model en-small-plain
few         compare.py --set trec6 --labels 500 $five --model en-small
few         compare.py --set trec6 --labels 100 200 $five --model $ours
few         compare.py --set trec6 --labels 100 200 500 $five --model $simple scratch en-small-plain-semi
few         compare.py --set trec6 --labels 1000 2000 $three --model $simple scratch $ours
few         compare.py --set trec6 --labels 100 200 500 1000 $three --model scratch-concat
few         compare.py --set sst2 --labels 100 $five --model $simple $ours
few,peer    compare.py --set sst2 --labels 500 $five --model en-small-plain
few         compare.py --set sst2 --labels 500 $five --model $simple en-small
few         compare.py --set banking77 --labels 385 $five --model $simple $ours
few,peer    compare.py --set banking77 --labels 770 $five --model en-small-plain
few         compare.py --set banking77 --labels 770 $five --model $simple en-small
few,peer    compare.py --set ag_news --labels 200 $five $part --model en-small-plain
few         compare.py --set ag_news --labels 200 $five $part --model $simple en-small
few,peer    compare.py --set newsgroups20 --labels 200 $five $part --model en-small-plain
few         compare.py --set newsgroups20 --labels 200 $five $part --model $simple en-small
few,peer    compare.py --set imdb --labels 100 $five $part --model en-small-plain
few         compare.py --set imdb --labels 100 $five $part --model en-small
few         compare.py --set imdb --labels 100 500 $three $part --model $simple scratch
few         compare.py --set imdb --labels 1000 $three $part --model scratch scratch-concat
few         compare.py --set imdb --labels 100 500 $three $part $reviews --model en-small-plain-semi en-small-plain-semi-concat
few         compare.py --set imdb --labels 100 500 $three $part --lm-texts 10000 --lm-epochs 2 --model en-small-plain-semi
peer        compare.py --set trec6 sst2 --labels 500 $five --model $fastai
peer        compare.py --set banking77 --labels 770 $five --model $fastai
peer        compare.py --set ag_news --labels 200 $five $part --model $fastai
peer        compare.py --set imdb --labels 100 $five $part --model $fastai
peer        compare.py --set newsgroups20 --labels 200 $five $part --model $fastai
paper       paper.py --set trec6 --labels 500 $five
calibration calibration.py --set banking77 sst2 --labels 1500
RUNS
}

wanted=$(IFS='|' && echo "${*:-.*}")
chosen=$(runs | grep -E "^([a-z]+,)*($wanted)[ ,]") || { echo "$usage" >&2 && exit 2; }
python=${PYTHON:-.venv/bin/python}
sed -E 's/^[a-z,]+ +//' <<<"$chosen" |
    xargs -P "${LANES:-2}" -I {} sh -c "$python benchmarks/{} --data '$data'"
$python benchmarks/report.py
