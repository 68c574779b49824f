"""From raw texts to token ids: validation, rules, tokenizers and vocabularies."""
