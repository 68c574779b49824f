#!/usr/bin/env bash
# Pretrain "en-small" in both directions on a GPU, in about 20 minutes, and print its perplexity.
#
#   tools/gpu/pretrain.sh CORPORA OUT [MINUTES]
#
# CORPORA holds enwiki/, simplewiki/ and wikitext103/ as docs/pretraining.md describes them. Needs
# this package and gensim. Interrupted, the same command goes on. OUT/en-small goes to
# sk_ulmfit/pretrained/.
set -euo pipefail
corpora=$1 out=$2 minutes=${3:-20}
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
shards=()
for folder in enwiki simplewiki; do
    [ -d "$corpora/$folder" ] && shards+=("$corpora/$folder")
done

# What fits into 50 MB on disk, for both directions together.
python3 "$root/examples/pretrain_english.py" "${shards[@]}" \
    --out "$out/en-small" --work "$out/work" --device cuda --budget "$minutes" --n-jobs "$(nproc)" \
    --hidden-size 768 --batch-size 128 --softmax-samples 8192 --lr 0.004 --dropout-mult 0.1

for direction in forward backward; do
    python3 "$root/benchmarks/wikitext_perplexity.py" "$corpora/wikitext103/wt103.test.tokens" \
        --model "$out/en-small/$direction" --direction "$direction"
done
