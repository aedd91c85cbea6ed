"""
Run the stand-in by itself.

    python -P -m billing.standin --port 0 --state FILE --webhook URL
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from billing.standin.app import BANNER
from billing.standin.post import RETRY_S
from billing.standin.resources.webhook_endpoints import make
from billing.standin.server import StandIn
from billing.standin.world import World

RETRIES_FASTER = 60


def main(arguments: list[str]) -> int:
    """Run until SIGTERM or SIGINT; print one line of JSON once it listens."""
    parser = argparse.ArgumentParser(prog="python -m billing.standin", description=BANNER)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 for any free one")
    parser.add_argument("--key", default="sk_test_standin", help="the test key that requests carry")
    parser.add_argument("--state", type=Path, help="a file that keeps everything between runs")
    parser.add_argument("--webhook", action="append", default=[], metavar="URL")
    options = parser.parse_args(arguments)
    try:
        standin = StandIn(
            World(key=options.key), host=options.host, port=options.port, state=options.state
        )
    except ValueError as error:
        parser.error(str(error))
    # Whoever tries things out does not wait hours for the next try.
    standin.world.post.retry_s = tuple(pause / RETRIES_FASTER for pause in RETRY_S)
    return asyncio.run(_run(standin, options.webhook))


async def _run(standin: StandIn, webhooks: list[str]) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await standin.start()
    try:
        secrets = {url: _secret_for(standin.world, url) for url in webhooks}
        told = {"url": standin.url, "key": standin.world.key, "webhook_secrets": secrets}
        sys.stdout.write(f"{json.dumps(told)}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await standin.close()
    return 0


def _secret_for(world: World, url: str) -> str:
    """Give the secret of the endpoint with this address; it is made the first time."""
    for endpoint in world.every("webhook_endpoint"):
        if endpoint["url"] == url:
            return str(endpoint["_secret"])
    return str(make(world, {"url": url, "enabled_events": ["*"]})["_secret"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
