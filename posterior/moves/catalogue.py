"""Every move: nodes, help and tests are made from this list. To add one, write its file and list it here."""

from __future__ import annotations

from ..part import Move
from .blind_choice import BlindChoice
from .consensus import Consensus
from .hard_consistency import HardConsistency
from .off_decoder import OffDecoder
from .pruning import Pruning
from .upright import Upright

__all__ = ["MOVES"]

MOVES: tuple[type[Move], ...] = (Pruning, HardConsistency, OffDecoder, BlindChoice, Consensus, Upright)
