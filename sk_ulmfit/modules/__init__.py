"""The networks: plain torch, no skorch and no scikit-learn."""

from .awd_lstm import AWDLSTM, EncoderState
from .classifier import TextClassifier
from .dropout import AWD_CLASSIFIER_DROPOUTS, AWD_LM_DROPOUTS, Dropouts
from .language_model import LanguageModel, LanguageModelOutput
from .pooling import POOLINGS, pooled_size, rarity

__all__ = [
    "AWDLSTM",
    "AWD_CLASSIFIER_DROPOUTS",
    "AWD_LM_DROPOUTS",
    "POOLINGS",
    "Dropouts",
    "EncoderState",
    "LanguageModel",
    "LanguageModelOutput",
    "TextClassifier",
    "pooled_size",
    "rarity",
]
