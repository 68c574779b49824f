"""Write saved models of the current format version: run once for a release that changes it.

    python -m tests.fixtures_of_format

`tests/models/test_directory.py` loads those of every version and compares with what they predicted.
"""

from __future__ import annotations

import json
from pathlib import Path

from sk_ulmfit.models.directory import FORMAT_VERSION
from tests.helpers import banking, classifier, language_model

FOLDER = Path(__file__).parent / "fixtures"


def main() -> None:
    """Fit a small model of each kind, save it and note what it predicts."""
    texts, labels = banking(3, 15)
    folder = FOLDER / f"format-{FORMAT_VERSION}"
    for kind in ("word", "subword"):
        lm = language_model(
            tokenizer=kind, direction="both", emb_size=6, hidden_size=8, max_vocab=80, max_epochs=1
        ).fit(texts)
        clf = classifier(max_epochs=2).fit(lm.transform(texts), labels)
        lm.save(folder / f"language-model-{kind}")
        clf.save(folder / f"classifier-{kind}")
        expected = {
            "texts": texts[:5],
            "perplexity": lm.perplexity(texts[:5]),
            "classes": clf.classes_.tolist(),
            "predict_proba": clf.predict_proba(texts[:5]).tolist(),
        }
        (folder / f"expected-{kind}.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
