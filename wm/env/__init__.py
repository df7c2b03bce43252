"""CarRacing-v3 with 64x64 frames: gymnasium's own renderer and the fast one."""
