"""
What the two facts of a usual charge tell besides money, in the forms in which it is sent.

It is what `fold_charges.describe`, `charge_rows`, `charge_copy` and `charge_digest` make of it one
after the other, in one step.
"""

from functools import lru_cache

from ledger.charge_copy import packed_told
from ledger.charge_digest import told_text
from ledger.charge_rows import Told, numbers_text, object_text
from ledger.detail import MOST_REMEMBERED, NOTHING, Detail, read_detail


@lru_cache(maxsize=MOST_REMEMBERED)
def told(opening: bytes, ending: bytes) -> Told:
    """Return what the details of a hold and of its ending come to; many charges say the same."""
    detail = _joined(read_detail(opening), read_detail(ending))
    units, measured = numbers_text(detail.units), numbers_text(detail.measured)
    record = object_text(detail.record)
    return Told(
        packed_told(detail, units, measured, record),
        *told_text(detail, units, measured, record),
    )


def _joined(first: Detail, last: Detail) -> Detail:
    """Add what the later one says to the earlier one."""
    if first is NOTHING:
        return last
    record = first.record if last.record is None else (first.record or {}) | last.record
    return Detail(
        first.units if last.units is None else last.units,
        first.measured if last.measured is None else last.measured,
        record,
        last.uncollected or first.uncollected,
        first.duration_ms if last.duration_ms is None else last.duration_ms,
        last.note or first.note,
        last.plan or first.plan,
    )
