"""What is measured and drawn of finished models and runs."""
