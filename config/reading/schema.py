"""The JSON Schema for editors, made from the same shape that reads the file."""

import json

from config.reading.shape import PRICE_FILE


def price_file_schema() -> str:
    """Give the text of `config/farebox.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PRICE_FILE.schema(),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
