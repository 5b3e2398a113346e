"""Lives for some seconds without ever running a loop, works a little, and exits with 7."""

import gc
import sys
import threading
import time

ends = time.monotonic() + float(sys.argv[1])
while time.monotonic() < ends:
    kept = [[number] for number in range(1000)]
    gc.collect()
    time.sleep(0.05)
print("threads", threading.active_count(), len(sys._current_frames()), flush=True)
sys.exit(7)
