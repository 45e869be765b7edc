"""Reasons: what moved a prediction, on the model's own scale, on that of the prediction, and in words."""

from serving.reasons.contributions import N_REASONS, N_STORED, Reason, reasons
from serving.reasons.explanation import Explanation, explain, shortened
from serving.reasons.sentences import sentence, tell, with_missing
from serving.reasons.telling import Telling, telling_asked

__all__ = [
    "N_REASONS",
    "N_STORED",
    "Explanation",
    "Reason",
    "Telling",
    "explain",
    "reasons",
    "sentence",
    "shortened",
    "tell",
    "telling_asked",
    "with_missing",
]
