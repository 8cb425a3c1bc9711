"""Training: configuration, data, loss, optimizers, checkpoints and the training loop."""
