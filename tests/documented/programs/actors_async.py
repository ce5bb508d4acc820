"""Actors: coroutines of one actor overlap."""

import asyncio
import importlib
import sys

ray = importlib.import_module(sys.argv[1])
ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)


@ray.remote
class Meeting:
    def __init__(self):
        self.open = asyncio.Event()

    async def wait(self):
        await self.open.wait()
        return "met"

    async def start(self):
        self.open.set()


meeting = Meeting.remote()
waiting = [meeting.wait.remote() for _ in range(3)]
ray.get(meeting.start.remote())
print(ray.get(waiting))
ray.shutdown()
