"""Selling credits: what is for sale, and (once it is configured) how it is paid for."""

from billing.packages import PackageForSale, packages_for_sale

__all__ = ["PackageForSale", "packages_for_sale"]
