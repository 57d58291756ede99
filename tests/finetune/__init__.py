"""Fine-tuning against its definition, against PyTorch and scikit-learn, and what its objects promise."""
