"""Admissions to predictions with reasons."""
