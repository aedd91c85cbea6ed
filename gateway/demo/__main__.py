"""The demo's backend by itself: `python -P -m gateway.demo --host HOST --port PORT`."""

import click
import uvicorn

from gateway.demo.backend import demo_backend


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9_000, show_default=True)
def main(host: str, port: int) -> None:
    """Answer until Ctrl-C."""
    uvicorn.run(demo_backend(), host=host, port=port, access_log=False)


main()
