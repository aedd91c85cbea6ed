"""The kinds of objects the stand-in plays; each module registers its endpoints when imported."""

import importlib
import pkgutil

PAGES = ("checkout_page", "customer_pages", "home")


def load_all() -> None:
    """Import every resource and page, so that their endpoints are in the table."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    for name in PAGES:
        importlib.import_module(f"billing.standin.{name}")
