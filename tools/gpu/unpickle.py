"""Check that a classifier trained and pickled on a GPU predicts the same without one.

python tools/gpu/unpickle.py --make FILE    # on the machine with the GPU
python tools/gpu/unpickle.py FILE           # on one without
"""

from __future__ import annotations

import argparse

import joblib
import numpy as np

from sk_ulmfit import ULMFiTClassifier, ULMFiTLanguageModel
from sk_ulmfit.datasets import load_banking77


def main() -> None:
    """Make the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--make", action="store_true")
    options = parser.parse_args()
    texts, labels = load_banking77(subset="train", return_X_y=True)
    if options.make:
        # Not en-small: the file has to travel.
        lm = ULMFiTLanguageModel(pretrained=None, max_epochs=2)
        clf = ULMFiTClassifier(lm, device="cuda", amp=True, max_epochs=10, random_state=0)
        clf.fit(texts[:500], labels[:500])
        joblib.dump((clf, clf.predict_proba(texts[:100])), options.file)
        return
    clf, expected = joblib.load(options.file)
    difference = np.abs(clf.set_params(device="cpu").predict_proba(texts[:100]) - expected).max()
    print(f"largest difference of a probability: {difference:.2g}")
    assert difference < 1e-3


if __name__ == "__main__":
    main()
