"""Data set to calibrated, evaluated and registered models."""
