"""The gateways that are compared: ours, the floor, and what else an engineer would write."""

from bench.peers.backend import backend
from bench.peers.farebox import farebox
from bench.peers.farebox_asleep import farebox_asleep
from bench.peers.farebox_limits import farebox_limits
from bench.peers.farebox_varied import farebox_varied
from bench.peers.hello import hello
from bench.peers.nginx import nginx_lua, nginx_proxy
from bench.peers.peer import Opener, Peer, Stage
from bench.peers.simple import simple

PEERS: dict[str, Opener] = {
    "farebox": farebox,
    "farebox+varied": farebox_varied,
    "farebox+limits": farebox_limits,
    "farebox+asleep": farebox_asleep,
    "nginx+lua": nginx_lua,
    "nginx": nginx_proxy,
    "hello": hello,
    "simple": simple,
    "backend": backend,
}
"""By name, in the order of the tables."""

__all__ = ["PEERS", "Opener", "Peer", "Stage"]
