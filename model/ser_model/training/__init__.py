"""What makes the weights: corpus, augmentation, architecture, fit, evaluation, export. Needs the `train` extra."""
