"""What DVC's own push and pull leave open in a shared cache."""
