"""`crowds.py fork|spawn|forkserver N`: a pool of N processes by multiprocessing, which replaces those that die."""

import multiprocessing
import sys
import time

if __name__ == "__main__":
    pool = multiprocessing.get_context(sys.argv[1]).Pool(int(sys.argv[2]))
    while pool is not None:
        time.sleep(60)
