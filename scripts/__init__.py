"""Scripts for training runs, published results, data and examples. Run each as ``python -m scripts.NAME``."""
