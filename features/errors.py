"""Errors whose message is written for the person who can mend them."""

from __future__ import annotations


class UserError(ValueError):
    """Something given to wardcast cannot be used; the message says what, where and what to do.

    It never quotes a patient's value or identifier. Every other exception is a defect of the program.
    """
