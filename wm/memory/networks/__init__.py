"""The MDN-RNN, its mixture density and a trained one for use."""
