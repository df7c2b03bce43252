"""Steps a second of gymnasium's CarRacing-v3 and of the fast environment, on one core.

    python -m bench.environment [--episodes 3] [--steps 1000] [--repeats 3]

Whole episodes of the same seeds and actions, resets included; the two alternate, and the table has
the medians. `new tracks`: every episode on a track that the process has not seen; `seen tracks`: as
when the candidates of one generation drive the same tracks.
"""

import argparse
import os
import statistics
import time

import cv2
import gymnasium
import numpy as np

from wm.car_racing import make


def steps_per_second(env: gymnasium.Env, seeds: range, steps: int) -> float:
    """Drives an episode a seed, gently swerving, of at most `steps` steps."""
    taken, start = 0, time.perf_counter()
    for seed in seeds:
        env.reset(seed=seed)
        for step in range(steps):
            swerve = 0.3 * np.sin(0.05 * step)
            _, _, terminated, truncated, _ = env.step(np.array([swerve, 0.1, 0.0], np.float32))
            taken += 1
            if terminated or truncated:
                break
    return taken / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    official, fast = make("official"), make("fast")
    steps_per_second(fast, range(1), 100)  # the first use draws the car and the grass
    rates: dict[str, list[float]] = {
        "official": [],
        "fast, new tracks": [],
        "fast, seen tracks": [],
    }
    for repeat in range(arguments.repeats):
        first = 1000 + repeat * arguments.episodes
        seeds = range(first, first + arguments.episodes)
        rates["official"].append(steps_per_second(official, seeds, arguments.steps))
        rates["fast, new tracks"].append(steps_per_second(fast, seeds, arguments.steps))
        rates["fast, seen tracks"].append(steps_per_second(fast, seeds, arguments.steps))
    base = statistics.median(rates["official"])
    print(f"{'environment':<20}{'steps/s':>10}{'least':>10}{'most':>10}{'ratio':>8}")
    for name, values in rates.items():
        median = statistics.median(values)
        least, most = min(values), max(values)
        print(f"{name:<20}{median:>10.0f}{least:>10.0f}{most:>10.0f}{median / base:>8.1f}")


if __name__ == "__main__":
    main()
