"""What the admin listener serves, row by row."""

from functools import cache
from typing import Any

from starlette.responses import JSONResponse, Response

from gateway.admin import handlers
from gateway.admin.pricing import PRICING
from gateway.admin.recovery import RECOVERY
from gateway.admin.rows import V1, changes, shows
from gateway.admin.selling_table import SELLING
from gateway.admin.services import Services
from gateway.admin.watching import WATCHING
from gateway.openapi import Document, document
from gateway.operations import (
    accounts,
    admins,
    charges,
    grants,
    health,
    history,
    imports,
    keys,
    observed,
    prices,
    refunds,
)
from gateway.paging import PageQuery
from gateway.routes import Call, Operation

ACCOUNT = f"{V1}/accounts/{{account}}"

PARAMETERS = {
    "alert": "The alert's number.",
    "account": "An id (acc_12) or an external id; PUT takes external ids only.",
    "admin": "The admin's name.",
    "charge": "The charge's id: what a call's answer named as Farebox-Request-Id.",
    "event": "The number of the event in the inbox.",
    "fact": "The fact's place in its journal, like 0-3-1204.",
    "finding": "The finding's number.",
    "job": "The job's id, as it was answered when it began.",
    "key": "The key's id, like key_7.",
    "notice": "The notice's number.",
    "order": "The order's id, ord_ and 24 hexadecimal characters; for money back also a payment's.",
    "package": "The package's id.",
    "subscription": "The subscription's id, like sub_1Nv0FG.",
    "version": "The price version's number.",
}


async def openapi(_call: Call[Services, Any, Any, None]) -> Response:
    """Return the document of all that is served here."""
    return JSONResponse(described())


@cache
def described() -> dict[str, Any]:
    """Make the document, once: it takes some tens of milliseconds."""
    return document(
        TABLE,
        title="Farebox, for admins",
        server="/",
        security={"nobody": [], "admin": [{"token": []}]},
        schemes={
            "token": {"type": "http", "scheme": "bearer", "description": "A named admin's token."}
        },
        parameters=PARAMETERS,
    )


TABLE: tuple[Operation, ...] = (
    Operation(
        method="GET", path="/livez", name="livez", summary="This process answers",
        handler=handlers.livez, need="nobody", answer=health.Live,
    ),
    Operation(
        method="GET", path="/readyz", name="readyz", summary="Requests can be charged",
        handler=handlers.readyz, need="nobody", answer=health.Ready,
    ),
    Operation(
        method="GET", path="/openapi.json", name="openapi", summary="This document",
        handler=openapi, need="admin", answer=Document,
    ),
    Operation(
        method="GET", path="/metrics", name="metrics", summary="Prometheus text over all workers",
        handler=handlers.metrics, need="admin", answer=handlers.METRICS_TYPE,
    ),
    shows(f"{V1}/accounts", "list-accounts", "List or search accounts",
         handlers.list_accounts, accounts.AccountPage, accounts.AccountQuery),
    changes("POST", f"{V1}/accounts", "create-account", "Make an account",
            handlers.create_account, accounts.AccountAnswer, accounts.AccountDraft, status=201),
    shows(ACCOUNT, "show-account", "An account and its balances",
         handlers.show_account, accounts.AccountAnswer),
    changes("PUT", ACCOUNT, "put-account", "Make or change the account with an external id",
            handlers.put_account, accounts.AccountAnswer, accounts.AccountChange),
    changes("POST", f"{ACCOUNT}/freeze", "freeze-account", "Refuse all its requests",
            handlers.freeze, accounts.AccountChanged, accounts.Why),
    changes("POST", f"{ACCOUNT}/thaw", "thaw-account", "Let it call again",
            handlers.thaw, accounts.AccountChanged, accounts.Why),
    changes("POST", f"{ACCOUNT}/sign-in", "sign-in-account",
            "A link into its pages: works once, for ten minutes",
            handlers.sign_in, accounts.SignIn, status=201),
    shows(f"{ACCOUNT}/keys", "list-keys", "Its keys", handlers.list_keys, keys.KeyList),
    changes("POST", f"{ACCOUNT}/keys", "create-key", "Make a key, shown once",
            handlers.create_key, keys.KeyMade, keys.KeyDraft, status=201),
    changes("POST", f"{V1}/keys/{{key}}/rotate", "rotate-key", "Replace a key",
            handlers.rotate_key, keys.KeyMade, keys.Rotation, status=201),
    changes("PUT", f"{V1}/keys/{{key}}/name", "rename-key", "Call a key otherwise",
            handlers.rename_key, keys.KeyChanged, keys.KeyName),
    changes("PUT", f"{V1}/keys/{{key}}/caps", "cap-key", "The most it may spend",
            handlers.cap_key, keys.KeyChanged, keys.CapsDraft),
    changes("DELETE", f"{V1}/keys/{{key}}", "revoke-key", "Refuse a key from its next call on",
            handlers.revoke_key, keys.KeyChanged),
    shows(f"{ACCOUNT}/grants", "list-grants", "Its grants, newest first",
         handlers.list_grants, grants.GrantPage, PageQuery),
    changes("POST", f"{ACCOUNT}/grants", "grant", "Put credits in",
            handlers.grant, grants.GrantAnswer, grants.GrantDraft, status=201),
    changes("POST", f"{V1}/grants/import", "import-grants",
            "Put credits into many accounts, each row on its own",
            handlers.import_grants, imports.ImportAnswer, imports.Import, text_body="text/csv"),
    changes("POST", f"{ACCOUNT}/adjustments", "adjust", "Correct a balance, with a reason",
            handlers.adjust, grants.AdjustmentAnswer, grants.Adjustment, status=201),
    shows(f"{ACCOUNT}/entries", "list-entries", "All that moved its balances, newest first",
         handlers.list_entries, history.EntryPage, history.EntryQuery),
    shows(f"{ACCOUNT}/usage", "usage", "What it used, in total and by route and day",
         handlers.usage, history.UsageAnswer, history.UsageQuery),
    shows(f"{V1}/charges", "list-charges", "Charges, newest first",
         handlers.list_charges, charges.ChargePage, handlers.AccountFilter),
    shows(f"{V1}/charges/{{charge}}", "show-charge", "One charge, explained",
         handlers.show_charge, charges.ChargeAnswer),
    changes("POST", f"{V1}/charges/{{charge}}/refunds", "refund",
            "Give back a charge, in full or in part; never more than it took",
            handlers.refund, grants.GrantAnswer, refunds.RefundDraft, status=201),
    shows(f"{V1}/observed", "show-observed",
         "What routes that observe would have charged and refused, by route and account",
         handlers.show_observed, observed.ObservedAnswer, observed.ObservedQuery),
    shows(f"{V1}/prices", "list-prices", "Versions of the price file, newest first",
         handlers.list_prices, prices.VersionPage, PageQuery),
    shows(f"{V1}/prices/refusal", "last-refusal", "Why the last price file was refused",
         handlers.last_refusal, prices.Refusal),
    changes("POST", f"{V1}/prices/check", "check-prices",
            "Whether a text could become the next version; publishes nothing",
            handlers.check_prices, prices.PriceCheck, text_body=handlers.PRICES_TYPE),
    *PRICING,
    shows(f"{V1}/prices/{{version}}", "show-prices", "A version with its text",
         handlers.show_prices, prices.VersionText),
    shows(f"{V1}/admins", "list-admins", "All named admins",
          handlers.list_admins, admins.AdminList),
    changes("POST", f"{V1}/admins", "create-admin", "Make an admin; the token is shown once",
            handlers.create_admin, admins.AdminMade, admins.AdminDraft, status=201),
    changes("DELETE", f"{V1}/admins/{{admin}}", "revoke-admin", "Refuse an admin's token",
            handlers.revoke_admin, admins.AdminRow),
    shows(f"{V1}/audit", "list-audit", "Who changed what, newest first",
         handlers.audit, admins.AuditPage, admins.AuditQuery),
    shows(f"{V1}/verify", "verify", "Does the ledger add up?", handlers.verify, health.Report),
    shows(f"{V1}/reconcile", "reconcile", "Do Redis and the ledger agree?",
         handlers.reconcile, health.Report),
    shows(f"{V1}/findings", "list-findings", "What the steward's checks found",
         handlers.findings, health.FindingsPage, health.FindingsQuery),
    changes("POST", f"{V1}/findings/{{finding}}/resolve", "resolve-finding", "Close a finding",
            handlers.resolve, health.Resolved, health.Resolution),
    shows(f"{V1}/gateways", "list-gateways", "Running gateways, and what is odd about them",
         handlers.gateways, health.GatewayList),
    *WATCHING,
    *RECOVERY,
    *SELLING,
)  # fmt: skip
