"""What a model is: artefact, raw output, calibration, intervals, contributions, bands."""
