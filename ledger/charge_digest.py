"""
What a batch says of charges, digested while it is written: from the very rows that are sent.

The statement `charges` of `seals.sql` digests the same of rows as they stand in Postgres; audits
ask it, and a row that is not what was sent shows. So both must write every value alike, as
`json_build_array` does: `tests/ledger/test_charge_digest.py` holds them against each other.
"""

import json
from binascii import hexlify
from collections.abc import Iterable, Iterator
from hashlib import sha256

from ledger.books import ChargeState, Overtaken
from ledger.charge_rows import BriefCharge, ChargeRow, microseconds
from ledger.database import Json
from ledger.detail import Detail
from ledger.seals import ChargesDigest, Place

_to_json = json.JSONEncoder(ensure_ascii=False).encode

_NINE = ", ".join(["%s"] * 9)
_FOURTEEN = ", ".join(["%s"] * 14)
"""Numbers of a charge; written like this in a third of the time that an f-string takes."""

_OPENED = b'["opened", "%%b", %b]%%b' % b", ".join([b"%d"] * 9)
_ENDED = b'["ended", "%%b", %%d, %%d, %%b, %b, %%b, "%%b", %%b]' % b", ".join([b"%d"] * 8)
"""The same of a usual charge, in bytes: it has all numbers but one, and told the rest."""


class SaidOfCharges:
    """Gathers what the charges and overtaken endings of one batch say, in any order."""

    def __init__(self, batch: Place) -> None:
        self._batch = batch
        self._said: list[tuple[int, bytes, bytes]] = []
        self._later: list[list[BriefCharge]] = []
        self._bounds: list[tuple[bytes, bytes]] = []
        # By place in the batch: what says something of a usual charge says nothing of another.
        self._usual = [b""] * (batch.q_to - batch.q_from + 1)

    def add(self, rows: Iterable[ChargeRow]) -> None:
        """Add charges that the batch writes: of each its opening, its ending, or both."""
        epoch, first, last = self._batch.epoch, self._batch.q_from, self._batch.q_to
        said = self._said
        for row in rows:
            (
                charge_id, account, key, held, version, rule, credit_type, opened_epoch, opened_q,
                opened_aseq, _, plan, state, captured, balance, closed_epoch, closed_q, closed_aseq,
                closed_at, reason, status, written_off, lots, units, measured, record, uncollected,
                duration_ms, note,
            ) = row  # fmt: skip
            name = charge_id.hex()
            if opened_epoch == epoch and first <= opened_q <= last:
                numbers = _NINE % (
                    epoch, opened_q, opened_aseq, account, key, held, version, rule, credit_type,
                )  # fmt: skip
                text = f'["opened", "{name}", {_with_null(numbers)}]'
                if plan is not None:
                    text += _to_json(plan)
                said.append((opened_q, charge_id, _sha(text)))
            if closed_epoch == epoch and first <= closed_q <= last:
                numbers = _FOURTEEN % (
                    epoch, closed_q, closed_aseq, microseconds(closed_at), account, held, state,
                    captured, balance, reason, status, duration_ms, written_off, uncollected,
                )  # fmt: skip
                text = (
                    f'["ended", "{name}", {_with_null(numbers)}, {_quoted(lots)},'
                    f" {_told(units, measured, record, note)}]"
                )
                if state == ChargeState.EXPIRED:
                    text = _expired(charge_id, epoch, closed_q, closed_aseq, balance)
                said.append((closed_q, charge_id, _sha(text)))

    def add_later(self, charges: list[BriefCharge]) -> None:
        """Add usual charges, which the batch opened and ended, when `digested` is asked."""
        if charges:
            ids = [hold[1] for _, hold, _, _ in charges]
            self._bounds.append((min(ids), max(ids)))
            self._later.append(charges)

    def digest_some(self) -> None:
        """Digest what was put off once, if anything was."""
        if self._later:
            self._add_briefly(self._later.pop())

    def digested(self) -> Iterator[None]:
        """Digest all that was put off, in as many steps as it was added in."""
        while self._later:
            self.digest_some()
            yield

    def _add_briefly(self, charges: Iterable[BriefCharge]) -> None:
        epoch, usual, first = self._batch.epoch, self._usual, self._batch.q_from
        for (
            opened_q,
            (
                _, charge_id, account, key, credit_type, held, version, rule, _, opened_aseq, _, _,
                lots, _,
            ),
            (state, captured, balance, closed_q, closed_aseq, closed_us, reason, status),
            told,
        ) in charges:  # fmt: skip
            name = hexlify(charge_id)
            text = _OPENED % (
                name, epoch, opened_q, opened_aseq, account, key, held, version, rule, credit_type,
                told.opened,
            )  # fmt: skip
            usual[opened_q - first] = sha256(text).digest()
            text = _ENDED % (
                name, epoch, closed_q, b"null" if closed_aseq is None else b"%d" % closed_aseq,
                closed_us, account, held, state, captured, balance, reason, status, told.numbers,
                hexlify(lots), told.rest,
            )  # fmt: skip
            usual[closed_q - first] = sha256(text).digest()

    def add_overtaken(self, endings: Iterable[Overtaken]) -> None:
        """Add endings of this batch that something in it overtook; those of others are theirs."""
        for ending in endings:
            first, last = self._batch.q_from, self._batch.q_to
            if ending.epoch == self._batch.epoch and first <= ending.q <= last:
                text = _expired(
                    ending.charge_id, ending.epoch, ending.q, ending.aseq, ending.balance_after
                )
                self._said.append((ending.q, ending.charge_id, _sha(text)))

    def digest(self) -> ChargesDigest:
        """Return the digest of all that was added."""
        shas = list(self._usual)
        for q, _, sha in sorted(self._said):
            shas[q - self._batch.q_from] += sha
        ids = [charge_id for _, charge_id, _ in self._said]
        ids += [bound for bounds in self._bounds for bound in bounds]
        if not ids:
            return ChargesDigest()
        return ChargesDigest(min(ids), max(ids), sha256(b"".join(shas)).digest())


def _sha(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _expired(charge_id: bytes, epoch: int, q: int, aseq: int, balance: int) -> str:
    """Of an expired charge only what `overtaken_endings` would keep of it."""
    return f'["expired", "{charge_id.hex()}", {epoch}, {q}, {aseq}, {balance}]'


def told_text(
    detail: Detail, units: Json | None, measured: Json | None, record: Json | None
) -> tuple[bytes, bytes, bytes]:
    """Return `opened`, `numbers` and `rest` of a usual charge's `Told`."""
    return (
        b"" if detail.plan is None else _to_json(detail.plan).encode(),
        _with_null(f"{detail.duration_ms}, None, {detail.uncollected}").encode(),
        _told(units, measured, record, detail.note).encode(),
    )


def _told(units: str | None, measured: str | None, record: str | None, note: str | None) -> str:
    said = "null" if note is None else _to_json(note)
    return f"{units or 'null'}, {measured or 'null'}, {record or 'null'}, {said}"


def _with_null(numbers: str) -> str:
    """Write None as JSON does; there must be nothing but numbers beside it."""
    return numbers.replace("None", "null")


def _quoted(raw: bytes | None) -> str:
    return "null" if raw is None else f'"{raw.hex()}"'
