"""CLIP's tokenizer for the world's captions: byte-pair merges learned from them."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from course_lib import world

LENGTH = 16
START, END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(folder: Path) -> CLIPTokenizer:
    """Learn the merges, so that each word of the world is one token, and write the files CLIPTokenizer loads.

    The whole byte alphabet is in the vocabulary, with and without the end-of-word mark: an unknown letter would become
    an end-of-text token in mid-caption.
    """
    g = torch.Generator().manual_seed(0)
    lines = [line.lower() for line in world.caption(world.draw(20_000, g), g)] + list(world.PLACES)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(
        lines,
        trainers.BpeTrainer(vocab_size=2000, min_frequency=2, end_of_word_suffix="</w>", initial_alphabet=alphabet),
    )
    merges = json.loads(learner.to_str())["model"]["merges"]
    letters = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    vocabulary = list(dict.fromkeys([*letters, *("".join(pair) for pair in merges)]))
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: index for index, token in enumerate([*vocabulary, START, END])}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH)
    tokenizer.save_pretrained(folder)
    return tokenizer


def token_ids(tokenizer: CLIPTokenizer, lines: list[str]) -> torch.Tensor:
    """Captions as ids, padded to LENGTH, (captions, LENGTH)."""
    return tokenizer(lines, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
