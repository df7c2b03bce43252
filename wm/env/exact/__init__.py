"""CarRacing-v3 with the official frames, bit for bit, some twenty times as fast."""
