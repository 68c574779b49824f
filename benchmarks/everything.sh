#!/usr/bin/env bash
# Make all results of benchmarks/results/ that are not there yet, then the report.
#
#   bash benchmarks/everything.sh DATA FASTAI_PYTHON
#
# DATA is the folder of the data sets, FASTAI_PYTHON the interpreter of a virtual environment with
# fastai 2.8.12. Every run takes one thread, and as many go on at once as LANES says. Interrupted,
# the same command goes on: runs whose results are there are left out.
set -euo pipefail
data=$(realpath "${1:?usage: everything.sh DATA FASTAI_PYTHON}")
peer=${2:?usage: everything.sh DATA FASTAI_PYTHON}
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1

jobs() {
    local five="--seed 0 1 2 3 4" three="--seed 0 1 2"
    local imdb="--test-rows 2000"
    local reviews="--lm-epochs 1 --lm-amp --lm-checkpoints checkpoints/imdb"
    cat <<JOBS
paper.py --set trec6 --labels 500 $five
calibration.py --set banking77 sst2 --labels 1500
compare.py --set trec6 --labels 100 200 500 $five --model tfidf fasttext minilm scratch en-small
compare.py --set trec6 --labels 1000 2000 $three --model tfidf fasttext minilm scratch en-small
compare.py --set trec6 --labels 100 200 500 1000 $three --model scratch-concat
compare.py --set trec6 --labels 100 200 500 $five --model en-small-semi
compare.py --set imdb --labels 100 500 $three $imdb $reviews --model tfidf fasttext minilm en-small-semi en-small-semi-concat
compare.py --set imdb --labels 100 500 $three $imdb --lm-texts 10000 --lm-epochs 2 --model en-small-semi
compare.py --set imdb --labels 1000 $three $imdb --model scratch scratch-concat
compare.py --set imdb --labels 100 500 $three $imdb --model scratch
compare.py --set banking77 --model en-small-both
compare.py --set trec6 --labels 500 $five --model fastai --peer $peer
compare.py --set sst2 --labels 500 $five --model tfidf fasttext minilm en-small fastai --peer $peer
compare.py --set banking77 --labels 770 $five --model tfidf fasttext minilm en-small fastai --peer $peer
compare.py --set ag_news --labels 200 $five --test-rows 2000 --model tfidf fasttext minilm en-small fastai --peer $peer
compare.py --set imdb --labels 100 $three $imdb --model en-small fastai --peer $peer
compare.py --set newsgroups20 --labels 500 $three --test-rows 2000 --model tfidf fasttext minilm en-small fastai --peer $peer
compare.py --set trec6 $three --model tfidf fasttext minilm en-small
compare.py --set sst2 banking77 --model tfidf fasttext minilm en-small
compare.py --set sst2 --labels 100 $five --model tfidf fasttext minilm en-small
compare.py --set banking77 --labels 385 $five --model tfidf fasttext minilm en-small
JOBS
}

python=${PYTHON:-.venv/bin/python}
jobs | xargs -P "${LANES:-2}" -I {} sh -c "$python benchmarks/{} --data '$data'"
$python benchmarks/report.py
