"""From text to a `PriceList`: positioned nodes, then their shape, then the model."""

from config.reading.load import load_price_list
from config.reading.schema import price_file_schema

__all__ = ["load_price_list", "price_file_schema"]
