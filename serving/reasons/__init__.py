"""Reasons: what moved a prediction, on the model's own scale, on that of the prediction, and in words."""

from serving.reasons.contributions import N_REASONS, Reason, reasons
from serving.reasons.explanation import Explanation, explain
from serving.reasons.sentences import sentence, tell

__all__ = ["N_REASONS", "Explanation", "Reason", "explain", "reasons", "sentence", "tell"]
