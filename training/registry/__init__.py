"""Models in MLflow: what is logged of a training, registered versions, and which one is champion."""
