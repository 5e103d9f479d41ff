"""Sentences that can be said in another language, and whether every one of them is said in Korean."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from string import Formatter

import pytest
from sampler_lab.diffusion.sentence import Sentence

ROOT = Path(__file__).resolve().parent.parent
HANGUL = re.compile("[\uac00-\ud7a3]")


def patterns():
    """The pattern of every Sentence that the pack says: it is written out where it is said."""
    own = [*ROOT.glob("*.py"), *(file for folder in ROOT.iterdir() if folder.is_dir() for file in folder.rglob("*.py"))]
    for file in own:
        if {"tests", ".lab", "output"} & set(file.relative_to(ROOT).parts):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Sentence":
                assert isinstance(node.args[0], ast.Constant), f"{file}:{node.lineno} hides its pattern"
                yield node.args[0].value


def names(pattern):
    return {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}


def test_a_sentence_is_its_english_text_and_knows_what_it_was_made_of():
    said = Sentence("keep {keep} of {count}: {reason}", keep=9, count=2, reason="a {brace}")
    assert said == "keep 9 of 2: a {brace}"
    assert said.pattern == "keep {keep} of {count}: {reason}"
    assert said.values == {"keep": "9", "count": "2", "reason": "a {brace}"}
    assert type(str(said)) is str
    with pytest.raises(KeyError, match="count"):
        Sentence("of {count}")


def test_every_sentence_is_said_in_korean_with_the_same_values():
    korean = json.loads((ROOT / "locales" / "ko" / "main.json").read_text(encoding="utf-8"))["samplerLab"]["notices"]
    english = set(patterns())
    assert len(english) > 10
    assert set(korean) == english
    for pattern, translated in korean.items():
        assert HANGUL.search(translated), pattern
        assert names(translated) == names(pattern), pattern
