"""CarRacing-v3 with 64x64 frames: gymnasium's own renderer, the exact one and the fast one."""
