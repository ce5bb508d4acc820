"""Has one node work, task after task, for ever: `python told.py RESOURCE ADDRESS SECRET`."""

import sys
import time

import nbray

place, address, secret = sys.argv[1:]
nbray.init(address=address, _redis_password=secret)
print("on", flush=True)
while True:
    nbray.get(nbray.remote(abs).options(resources={place: 0.01}).remote(-1))
    time.sleep(0.1)
