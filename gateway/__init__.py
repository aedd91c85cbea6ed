"""The ASGI proxy, its processes, its control routes and its command line; start at `proxy.py`."""
