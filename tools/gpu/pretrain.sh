#!/usr/bin/env bash
# Train "en-small" further on a GPU, both directions beside one another, and print its perplexity.
#
#   tools/gpu/pretrain.sh CORPORA OUT [EPOCHS]
#
# CORPORA holds enwiki/, simplewiki/ and wikitext103/ as docs/pretraining.md describes them. On an
# H200 an epoch takes three and a half minutes, once the corpus is tokenised (some minutes on a few
# cores; OUT/work/all can be made elsewhere by the recipe with --prepare, and brought along).
# Interrupted, the same command goes on. OUT/en-small goes to sk_ulmfit/pretrained/.
set -euo pipefail
corpora=$1 out=$2 epochs=${3:-3}
root=$(dirname "$(dirname "$(dirname "$(realpath "$0")")")")
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
start=$root/sk_ulmfit/pretrained/en-small

recipe() {
    python3 "$root/examples/pretrain_english.py" "$corpora/enwiki" "$corpora/simplewiki" \
        --start "$start" --seed 1 --work "$out/work" --out "$out/en-small" --device cuda "$@"
}

recipe --prepare --n-jobs "$(nproc)"
tokens=$(python3 -c "import json; print(json.load(open('$out/work/all/corpus.json'))['n_tokens'])")
for direction in forward backward; do
    recipe --direction "$direction" --tokens $((epochs * tokens)) \
        --batch-size 128 --softmax-samples 8192 --lr 0.004 &
    trainings+=($!)
done
for training in "${trainings[@]}"; do wait "$training"; done

for direction in forward backward; do
    python3 "$root/benchmarks/wikitext_perplexity.py" "$corpora/wikitext103/wt103.test.tokens" \
        --model "$out/en-small/$direction" --direction "$direction"
done
