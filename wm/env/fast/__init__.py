"""CarRacing-v3 with gymnasium's physics to the bit and a renderer of its own."""
