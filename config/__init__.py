"""Owns what the operator decides: the price file, the settings, and all arithmetic of costs."""

from config.amounts import LARGEST_AMOUNT, format_amount, parse_amount
from config.differences import Difference, differences
from config.explain import CostLine, Explanation, Quote, explain, quote, units_of
from config.heirs import HeirFinder, Heirs
from config.limits import Limit, Limits, RateLimit
from config.model import (
    Cors,
    CreditType,
    Package,
    Recorded,
    Route,
    SellingRules,
    StatusSet,
    Upstream,
)
from config.paths import BadPath, canonical_path
from config.price_list import PriceList
from config.pricing.facts import Measured, RequestFacts, Unit, Unpriceable
from config.pricing.measure import count
from config.pricing.meter import Cost, Meter, cost_of
from config.pricing.price import Line, Price
from config.problems import OpenApiError, PriceFileError, Problem, SettingsError
from config.reading import load_price_list, price_file_schema
from config.routing import Match, MethodNotAllowed, NoRoute
from config.secret import Secret
from config.settings import Settings
from config.starter import starter_file
from config.watch import PriceWatch, read_price_file
from config.words import price_words

__all__ = [
    "LARGEST_AMOUNT",
    "BadPath",
    "Cors",
    "Cost",
    "CostLine",
    "CreditType",
    "Difference",
    "Explanation",
    "HeirFinder",
    "Heirs",
    "Limit",
    "Limits",
    "Line",
    "Match",
    "Measured",
    "Meter",
    "MethodNotAllowed",
    "NoRoute",
    "OpenApiError",
    "Package",
    "Price",
    "PriceFileError",
    "PriceList",
    "PriceWatch",
    "Problem",
    "Quote",
    "RateLimit",
    "Recorded",
    "RequestFacts",
    "Route",
    "Secret",
    "SellingRules",
    "Settings",
    "SettingsError",
    "StatusSet",
    "Unit",
    "Unpriceable",
    "Upstream",
    "canonical_path",
    "cost_of",
    "count",
    "differences",
    "explain",
    "format_amount",
    "load_price_list",
    "parse_amount",
    "price_file_schema",
    "price_words",
    "quote",
    "read_price_file",
    "starter_file",
    "units_of",
]
