"""Farebox asked for something else with every request: nothing of one serves the next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from bench.peers.farebox import farebox
from bench.peers.peer import Peer, Stage

# Another query and another header line each time, as with ids for tracing.
SCRIPT = """
local n = 0
request = function()
  n = n + 1
  wrk.headers["x-trace"] = "trace-" .. n
  return wrk.format("GET", wrk.path .. "?item=" .. n)
end
"""


@asynccontextmanager
async def farebox_varied(stage: Stage) -> AsyncIterator[Peer]:
    script = stage.folder / "varied.lua"
    script.write_text(SCRIPT)
    async with farebox(replace(stage, folder=stage.folder / "varied")) as peer:
        yield replace(peer, script=script)
