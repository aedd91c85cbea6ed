"""As much of JSON Schema as the price file's schema uses; any other keyword is an error."""

import re
from typing import Any

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}
_SILENT = {"$schema", "title", "description"}


def accepts(schema: dict[str, Any], value: Any) -> bool:
    return all(_holds(word, schema, value) for word in schema if word not in _SILENT)


def _holds(word: str, schema: dict[str, Any], value: Any) -> bool:
    wanted = schema[word]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match word:
        case "type" if wanted in {"integer", "number"}:
            return number and (wanted == "number" or isinstance(value, int))
        case "type":
            return isinstance(value, _TYPES[wanted])
        case "properties":
            return not isinstance(value, dict) or all(
                accepts(wanted[key], value[key]) for key in value if key in wanted
            )
        case "additionalProperties":
            rest = {} if not isinstance(value, dict) else value
            others = [rest[key] for key in rest if key not in schema.get("properties", {})]
            return all(wanted is not False and accepts(wanted, other) for other in others)
        case "propertyNames":
            return not isinstance(value, dict) or all(accepts(wanted, key) for key in value)
        case "required":
            return not isinstance(value, dict) or all(key in value for key in wanted)
        case "minProperties" | "maxProperties":
            return not isinstance(value, dict) or _in(word, len(value), wanted)
        case "items":
            return not isinstance(value, list) or all(accepts(wanted, item) for item in value)
        case "minItems" | "maxItems":
            return not isinstance(value, list) or _in(word, len(value), wanted)
        case "minimum" | "maximum":
            return not number or _in(word, value, wanted)
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "enum":
            return value in wanted
        case "const":
            return value is wanted
        case "anyOf":
            return any(accepts(one, value) for one in wanted)
        case "oneOf":
            return sum(accepts(one, value) for one in wanted) == 1
    raise NotImplementedError(word)


def _in(word: str, size: float, bound: float) -> bool:
    return size >= bound if word.startswith("min") else size <= bound
