"""CarRacing-v3 with the official frames, bit for bit, some ten times as fast."""
