"""OpenAPI documents: read for the operations they name, made a price file, held against one."""

from config.openapi.compare import Comparison, Unmatched, Unserved, compare
from config.openapi.document import Document, read_document
from config.openapi.operations import Api, Operation, read_api
from config.openapi.price_file import Imported, price_file_of

__all__ = [
    "Api",
    "Comparison",
    "Document",
    "Imported",
    "Operation",
    "Unmatched",
    "Unserved",
    "compare",
    "price_file_of",
    "read_api",
    "read_document",
]
