"""External validation: a model, as it is, on another data set. Nothing is changed by it.

Collins et al., BMJ 2024;384:e074820 (evaluation of clinical prediction models, part 2).
"""

from __future__ import annotations

from features.errors import UserError


class ExternalError(UserError):
    """The model cannot be judged on this data set; the message says why and what to do."""
