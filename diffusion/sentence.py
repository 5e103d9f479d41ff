"""A sentence for users that can be said in another language: with its pattern, and what was put into it.

It is a ``str``, the English sentence, so whoever only prints or compares it need not know. Whoever translates looks its
pattern up (``locales/<language>/main.json``, under ``samplerLab.notices``) and puts the same values into what is found.

>>> said = Sentence("keep {keep} of {count}", keep=9, count=2)
>>> said, said.pattern, said.values
('keep 9 of 2', 'keep {keep} of {count}', {'keep': '9', 'count': '2'})
"""

from __future__ import annotations

__all__ = ["Sentence"]


class Sentence(str):
    """``pattern`` with ``values`` put in for its names in braces; numbers come as text, rounded for reading.

    Raises:
        KeyError: the pattern names a value that is not given.
    """

    pattern: str
    values: dict[str, str]

    def __new__(cls, pattern: str, **values: object) -> Sentence:
        texts = {name: str(value) for name, value in values.items()}
        sentence = super().__new__(cls, pattern.format(**texts))
        sentence.pattern, sentence.values = pattern, texts
        return sentence
