"""wardcast: episode cost, unplanned readmission and complication risk from admission records."""

__version__ = "0.1.0"
