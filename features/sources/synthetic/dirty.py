from pathlib import Path
import numpy as np
def plant_faults(staging: Path, rng: np.random.Generator) -> None:
    """stub"""
