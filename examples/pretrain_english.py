"""Pretrain a general English language model: from shards of text to a model directory.

    python examples/pretrain_english.py CORPORA/enwiki CORPORA/simplewiki --budget 120

This is how the shipped model "en-small" was made. In the order of what is done:

1. The articles are cleaned of markup, and tokenised once.
2. Static word vectors are trained on all of them in some minutes (needs the extra `pretrain`).
   They become the embedding that training begins with, and the frequencies of the words become
   the bias of the softmax: a CPU's hours go into sequences, not into finding out what words are.
3. The speed of training is measured, and as many articles are drawn as the budget allows.
4. The language models of both directions are trained on them, with a sampled softmax and in
   bfloat16 where the device computes in it.
5. With `--teacher DIRECTORY` they learn what sentences mean: sentences and passages of articles,
   and lines of `--everyday FILES`, are read by a sentence encoder (all-MiniLM-L6-v2, of the extra
   `pretrain`) for `--minutes`, and its vectors learned; with `--train-encoder` by LSTM layers that
   learn along, at some 400 texts a second. Texts that stand in `--exclude FILES`, one a line, are
   left out. Words that the vocabulary lacks get a vector too, by what the teacher says of each
   alone, the `--lexicon` most frequent ones. Without `--teacher` the model ends as it did in
   earlier versions; with `--start MODEL --tokens 0` nothing but this step is done, with
   `--further --seed 1` on other texts, from what the same teacher has taught it before.

Interrupted, the same command with the same --work goes on. After one with `--prepare`, which ends
before the training, two processes can train the two directions at once. A finished model is trained
further, on other articles, with `--start MODEL --seed 1` and another --work and --out. Several GPUs
of one machine share the work:

    torchrun --nproc-per-node 4 examples/pretrain_english.py CORPORA/enwiki --tokens 1e9
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import lzma
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sk_ulmfit import ULMFiTLanguageModel
from sk_ulmfit.models import TrainedLanguageModel
from sk_ulmfit.models.names import read_shipped, write_shipped, write_shipped_sentences
from sk_ulmfit.text.corpus import TextsOnDisk
from sk_ulmfit.text.files import TextFiles
from sk_ulmfit.text.token_lists import TokenLists
from sk_ulmfit.text.tokenizers import Tokenizer, make_tokenizer
from sk_ulmfit.training.sentences import rows_on_disk

_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,300}>|<!--.{0,1000}?-->")
_FORMULA = re.compile(r"\bformula_\d+")
_EMPTY_BRACKETS = re.compile(r"[ \t]*\([ \t,;:]*\)")
_LEADING_MARKS = re.compile(r"\([ \t]*[,;][ \t,;]*")
_MARKUP = re.compile(r"\[\[|\]\]|'{2,}")
_SPACES = re.compile(r"[ \t]{2,}")
_TABLE = re.compile(r"\{\{|\}\}|\{\||\|\}|\|\||^\s*[|!]|\|.*\|")

_SENTENCE_ENDS = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z0-9])")
_NO_END = re.compile(r"\b([A-Z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|etc|No|Vol|ca|c|e\.g|i\.e|U\.S|Co|Inc)\.$")
_OTHER_THAN_LETTERS = re.compile(r"[\W_]+")

MIN_FREQ = 5  # a rarer word of the corpus does not enter the vocabulary
MIN_WORDS = 25  # a shorter article is a stub


def clean(document: str) -> str:
    """Strip what is left of an article's markup: tags, tables, empty brackets, formulas.

    Parameters
    ----------
    document : str

    Returns
    -------
    str
    """
    for pattern, replacement in (
        (_TAG, " "),
        (_FORMULA, ""),
        (_MARKUP, ""),
        (_EMPTY_BRACKETS, ""),
        (_LEADING_MARKS, "("),
    ):
        document = pattern.sub(replacement, document)
    lines = (line.strip() for line in document.splitlines() if not _TABLE.search(line))
    return "\n".join(_SPACES.sub(" ", line) for line in lines if line)


class Articles:
    """Clean articles of text files, read anew whenever they are iterated over.

    Parameters
    ----------
    paths : list of Path
    share : float, default=1.0
        Of the articles, drawn at random.
    seed : int, default=0
        Of that draw.
    """

    def __init__(self, paths: list[Path], share: float = 1.0, seed: int = 0):
        self.paths = paths
        self.share = share
        self.seed = seed

    def __iter__(self) -> Iterator[str]:
        random = np.random.default_rng(self.seed)
        for document in TextFiles(self.paths):
            text = clean(document)
            if text.count(" ") >= MIN_WORDS and random.random() < self.share:
                yield text


def tokenised(
    args: argparse.Namespace, tokenizer: Tokenizer | None = None
) -> tuple[Tokenizer, TokenLists]:
    """Encode the whole corpus, having learned its vocabulary if no tokenizer is given."""
    source = TextsOnDisk(
        Articles(args.corpora), args.work / "all", n_jobs=args.n_jobs, verbose=True
    )
    if tokenizer is None:
        tokenizer = make_tokenizer(args.tokenizer)
        tokenizer = source.fit(tokenizer, max_vocab=args.max_vocab, min_freq=MIN_FREQ)
    return tokenizer, source.encode(tokenizer)


def word_vectors(documents: TokenLists, n_words: int, size: int, share: float) -> np.ndarray:
    """Train static vectors (skip-gram with negative sampling) on a part of the documents.

    Returns
    -------
    ndarray of shape (n_words, size)
        Mean 0, standard deviation 1; zeros for words that do not occur.
    """
    from gensim.models import Word2Vec

    chosen = np.random.default_rng(0).permutation(len(documents))
    chosen = chosen[: max(1, int(share * len(chosen)))]
    names = np.array([str(i) for i in range(n_words)], dtype=object)

    class Sentences:
        def __iter__(self) -> Iterator[list[str]]:
            for i in chosen:
                ids = documents.document(i)
                for start in range(0, len(ids), 1000):
                    yield names[ids[start : start + 1000]].tolist()

    model = Word2Vec(
        Sentences(), vector_size=size, sg=1, window=5, sample=1e-4, min_count=1, epochs=1, workers=2
    )
    vectors = np.zeros((n_words, size), dtype=np.float32)
    rows = [int(name) for name in model.wv.index_to_key]
    vectors[rows] = model.wv.vectors
    vectors[rows] -= vectors[rows].mean(axis=0)
    vectors[rows] /= vectors[rows].std()
    return vectors


def starting_point(args: argparse.Namespace) -> TrainedLanguageModel:
    """The model to go on with, or random LSTM layers between what is known of single words."""
    if args.start is not None:
        start = read_shipped(args.start.name, tuple(args.directions), args.start.parent)
        tokenised(args, start.tokenizer)  # how much there is to draw articles from
        return start
    tokenizer, documents = tokenised(args)
    n_words = len(tokenizer.vocab)
    start = TrainedLanguageModel.random(
        tokenizer,
        ("forward", "backward"),
        args.seed,
        emb_size=args.emb_size,
        hidden_size=args.hidden_size,
        n_layers=args.n_layers,
    ).with_frequencies(documents)
    if args.vectors_share:
        file = args.work / "vectors.npy"
        if not file.is_file():
            np.save(file, word_vectors(documents, n_words, args.emb_size, args.vectors_share))
        for weights in start.weights.values():
            weights["encoder.embedding"][:] = args.vectors_scale * np.load(file)
    return start


def language_model(args: argparse.Namespace, start: Any, **params: Any) -> ULMFiTLanguageModel:
    """The estimator with the parameters of this recipe."""
    common = {
        "max_vocab": len(start.tokenizer.vocab),
        "dropout_mult": args.dropout_mult,
        "lr": args.lr,
        "lr_decay": 1.0,  # nothing to go easy on yet
        "schedule": "one_cycle",
        "batch_size": args.batch_size,
        "softmax_samples": args.softmax_samples,
        "device": args.device,
        "amp": True,
        "random_state": args.seed,
        "n_jobs": args.n_jobs,
    }
    return ULMFiTLanguageModel(start, **{**common, **params})


def tokens_per_second(
    args: argparse.Namespace,
    start: TrainedLanguageModel,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measure the speed of training, over some 20 seconds or a fifth of the budget."""
    seconds = min(10.0, 6 * args.budget)
    articles = itertools.chain.from_iterable(itertools.repeat(Articles(args.corpora)))
    n_tokens, speed = 20 * args.batch_size * 70, 0.0
    for _ in range(3):
        texts: list[str] = []
        size = 0
        while size < n_tokens:
            texts.append(next(articles))
            size += len(start.tokenizer.encode(texts[-1:])[0])
        begin = clock()
        language_model(args, start, max_epochs=1).fit(texts)
        speed = size / (clock() - begin)
        n_tokens = int(seconds * speed)
    return speed


def plan(args: argparse.Namespace, start: TrainedLanguageModel) -> dict[str, Any]:
    """How much to train, decided once for a working directory."""
    file = args.work / "plan.json"
    if file.is_file():
        decided: dict[str, Any] = json.loads(file.read_text())
        return decided
    corpus = json.loads((args.work / "all" / "corpus.json").read_text())["n_tokens"]
    tokens = args.tokens
    if tokens is None:
        minutes = args.budget / len(args.directions)
        tokens = 60 * minutes * tokens_per_second(args, start)
    epochs = max(1, math.floor(tokens / corpus))
    decided = {"share": min(1.0, tokens / corpus), "epochs": epochs, "corpus_tokens": corpus}
    file.write_text(json.dumps(decided))
    return decided


def passages(article: str, random: np.random.Generator) -> Iterator[str]:
    """Cut an article into sentences, and every fifth time into passages of two to four.

    Of long articles eight are drawn, so that many articles have a say.
    """
    found = []
    for paragraph in article.splitlines()[1:]:
        sentences: list[str] = []
        for part in _SENTENCE_ENDS.split(paragraph):
            if sentences and _NO_END.search(sentences[-1]):
                sentences[-1] += f" {part}"
            else:
                sentences.append(part)
        while sentences:
            n = int(random.integers(2, 5)) if random.random() < 0.2 else 1
            passage, sentences = " ".join(sentences[:n]), sentences[n:]
            if 4 <= passage.count(" ") + 1 <= 80:
                found.append(passage)
    chosen = random.permutation(len(found))[:8]
    yield from (found[i] for i in chosen)


def normalised(text: str) -> str:
    """Letters and digits alone, in lower case: what makes two texts the same."""
    return _OTHER_THAN_LETTERS.sub(" ", text.lower()).strip()


def texts_to_teach(args: argparse.Namespace) -> list[str]:
    """Draw texts once for a working directory, shuffled: 60 % everyday ones, if there are any."""
    file = args.work / "taught.txt"
    if not file.is_file():
        random = np.random.default_rng(args.seed)
        n_everyday = round(0.6 * args.max_texts) if args.everyday else 0
        everyday = [line for path in args.everyday for line in lines_of(path)]
        chosen = [everyday[i] for i in random.permutation(len(everyday))[:n_everyday]]
        share = min(1.0, args.max_texts / 8 / 20_000)
        wanted = itertools.chain.from_iterable(
            passages(article, random) for article in Articles(args.corpora, share, args.seed)
        )
        chosen += itertools.islice(wanted, args.max_texts - len(chosen))
        excluded = {normalised(line) for path in args.exclude for line in lines_of(path)}
        different = list(dict.fromkeys(chosen))
        kept = [text for text in different if normalised(text) not in excluded]
        left_out = len(different) - len(kept)
        print(f"{len(kept)} texts to learn from; {left_out} left out, as --exclude has them.")
        order = random.permutation(len(kept))
        file.write_text("".join(f"{kept[i]}\n" for i in order), encoding="utf-8")
    return list(lines_of(file))


def lines_of(path: Path) -> Iterator[str]:
    """Lines of a text file, plain or compressed."""
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opener(path, "rt", encoding="utf-8") as file:
        yield from (line.strip() for line in file if line.strip())


def sentence_encoder(directory: Path, device: str) -> Callable[[list[str]], np.ndarray]:
    """Read a sentence encoder as sentence-transformers saves it: the mean over all pieces.

    It computes in bfloat16 on a GPU, and on a CPU that can: a fraction of the time for the same
    vectors (their cosine with those of single precision is above 0.9999).
    """
    from transformers import AutoModel, AutoTokenizer

    place = "cuda" if device in ("auto", "cuda") and torch.cuda.is_available() else "cpu"
    # (older versions of torch do not tell what a CPU can: it computes in single precision then)
    can = getattr(torch.cpu, "get_capabilities", dict)()
    fast = place == "cuda" or any(can.get(name) for name in ("avx512_bf16", "amx_bf16"))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModel.from_pretrained(directory).to(place).eval()

    @torch.inference_mode()
    def encode(texts: list[str]) -> np.ndarray:
        vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
        order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            batch = tokenizer(
                [texts[i] for i in rows],
                padding=True,
                truncation=True,
                max_length=128,
                return_tensors="pt",
            ).to(place)
            mask = batch["attention_mask"].unsqueeze(2)
            with torch.autocast(place, torch.bfloat16, enabled=fast):
                states = model(**batch).last_hidden_state.float()
            mean = (states * mask).sum(dim=1) / mask.sum(dim=1)
            vectors[rows] = torch.nn.functional.normalize(mean).float().cpu().numpy()
        return vectors

    return encode


def teach(args: argparse.Namespace, trained: TrainedLanguageModel) -> None:
    """Let the finished model learn what sentences mean, and write that beside it."""
    encode = sentence_encoder(args.teacher, args.device)
    words = [word for word in trained.tokenizer.vocab.tokens if not word.startswith("xx")]
    texts = words + texts_to_teach(args)
    file = args.work / "taught.json"
    if not file.is_file():
        begin = time.perf_counter()
        some = texts[len(words) :][:1000]
        encode(some)
        speed = len(some) / (time.perf_counter() - begin)
        n_texts = min(len(texts), len(words) + int(60 * args.minutes * speed))
        file.write_text(json.dumps({"texts": n_texts, "teacher": args.teacher.name}))
    taught = json.loads(file.read_text())
    texts = texts[: taught["texts"]]
    vectors = rows_on_disk(
        args.work / "taught.vectors",
        len(texts),
        encode(["a"]).shape[1],
        lambda first, last: encode(texts[first:last]),
        label="Teacher",
    )
    model = ULMFiTLanguageModel.from_trained(
        trained,
        checkpoint_dir=args.work,
        device=args.device,
        amp=True,
        verbose=1,
        random_state=0,
        warm_start=args.further,
    ).fit_sentences(
        texts,
        vectors,
        size=args.sentence_size,
        max_epochs=args.sentence_epochs,
        train_encoder=args.train_encoder,
    )
    words += words_beyond(args, model.trained_.tokenizer)
    of_words = rows_on_disk(
        args.work / "words.vectors",
        len(words),
        vectors.shape[1],
        lambda first, last: encode(words[first:last]),
        label="Words",
    )
    known = model.add_words(words, of_words).trained_
    training = {
        **taught,
        "agreement": model.sentence_history_[-1]["agreement"],
        "lexicon": len(known.tokenizer.lexicon),
        "lexicon_readings": 0,
    }
    write_shipped_sentences(
        known.sentences, known.tokenizer.lexicon, args.out.name, args.out.parent, training
    )
    print(f"sentences: {training}, written to {args.out / 'sentences'}")


def words_beyond(args: argparse.Namespace, tokenizer: Tokenizer) -> list[str]:
    """Words that the vocabulary lacks, those most frequent in articles or in everyday texts."""
    file = args.work / "words.json"
    if not file.is_file():
        everyday = itertools.chain.from_iterable(lines_of(path) for path in args.everyday)
        frequency: dict[str, float] = {}
        for texts in (Articles(args.corpora), everyday):
            counts = tokenizer.count(texts)
            total = sum(counts.values())
            for word, n in counts.items():
                frequency[word] = max(n / total, frequency.get(word, 0.0))
        new = [
            (-share, word)
            for word, share in frequency.items()
            if word not in tokenizer.words and any(map(str.isalpha, word))
        ]
        room = max(0, args.lexicon - len(tokenizer.lexicon))
        file.write_text(json.dumps([word for _, word in sorted(new)[:room]]))
    found: list[str] = json.loads(file.read_text())
    return found


def sittings(args: argparse.Namespace, direction: str, planned: dict[str, Any]) -> list[Any]:
    """Describe the trainings that a model has had, this one last."""
    earlier = []
    if args.start is not None:
        earlier = json.loads((args.start / direction / "model.json").read_text())["training"]
    this = {
        "tokens": round(planned["share"] * planned["epochs"] * planned["corpus_tokens"]),
        "corpus_tokens": planned["corpus_tokens"],
        "device": args.device_name,
        "lr": args.lr,
        "batch_size": args.batch_size,
        "softmax_samples": args.softmax_samples,
        "dropout_mult": args.dropout_mult,
        "vectors_share": 0 if args.start is not None else args.vectors_share,
        "seed": args.seed,
    }
    return [*earlier, this]


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or a list of arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, nargs="+", help="text files, or directories of them")
    parser.add_argument("--start", type=Path, help="the directory of a model to train further")
    parser.add_argument("--out", type=Path, default=Path("en-small"), help="the model directory")
    parser.add_argument("--work", type=Path, default=Path("build/pretrain"), help="for checkpoints")
    parser.add_argument("--budget", type=float, default=120, help="minutes of training in all")
    parser.add_argument("--tokens", type=float, help="tokens to train on, instead of a budget")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--direction", choices=["forward", "backward", "both"], default="both")
    parser.add_argument("--tokenizer", choices=["word", "subword"], default="word")
    parser.add_argument("--max-vocab", type=int, default=30_000)
    parser.add_argument("--emb-size", type=int, default=256)
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--n-layers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--softmax-samples", type=int, default=4096)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--dropout-mult", type=float, default=0.0, help="above 0 for many epochs")
    parser.add_argument("--vectors-share", type=float, default=0.5, help="of the corpus; 0: none")
    parser.add_argument("--vectors-scale", type=float, default=0.6, help="their deviation")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes that tokenise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teacher", type=Path, help="directory of a sentence encoder")
    parser.add_argument("--minutes", type=float, default=60, help="of the teacher's reading")
    parser.add_argument("--everyday", type=Path, nargs="+", default=[], help="texts, one a line")
    parser.add_argument("--exclude", type=Path, nargs="+", default=[], help="texts, one a line")
    parser.add_argument("--max-texts", type=int, default=800_000, help="for the teacher")
    parser.add_argument("--sentence-size", type=int, default=256)
    parser.add_argument("--sentence-epochs", type=int, default=3, help="passes over the texts")
    parser.add_argument("--lexicon", type=int, default=90_000, help="words beyond the vocabulary")
    parser.add_argument("--train-encoder", action="store_true", help="LSTM layers learn along")
    parser.add_argument("--further", action="store_true", help="from what --start was taught")
    parser.add_argument("--prepare", action="store_true", help="end before the training")
    args = parser.parse_args(arguments)
    args.device_name = "CPU"
    if torch.cuda.is_available() and args.device != "cpu":
        args.device_name = torch.cuda.get_device_name()
    both = ["forward", "backward"]
    args.directions = both if args.direction == "both" else [args.direction]
    return args


def main() -> None:
    """Train, and write the model."""
    args = parse_args()
    start = starting_point(args)
    if args.prepare:
        return
    if args.tokens == 0 and args.start is not None:
        shutil.copytree(args.start, args.out, dirs_exist_ok=True)
        teach(args, start)
        return
    planned = plan(args, start)
    articles = Articles(args.corpora, planned["share"], args.seed)
    for direction in args.directions:
        corpus = args.work / direction / "corpus"
        if planned["share"] == 1.0 and not corpus.exists():
            shutil.copytree(args.work / "all", corpus)  # tokenised already
        model = language_model(
            args,
            start,
            direction=direction,
            max_epochs=planned["epochs"],
            checkpoint_dir=args.work / direction,
            verbose=1,
        ).fit(articles)
        training = sittings(args, direction, planned)
        write_shipped(model.trained_, args.out.name, args.out.parent, {direction: training})
        print(f"{direction}: {training[-1]}, written to {args.out / direction}")
    if args.teacher is not None:
        teach(args, read_shipped(args.out.name, tuple(args.directions), args.out.parent))


if __name__ == "__main__":
    main()
