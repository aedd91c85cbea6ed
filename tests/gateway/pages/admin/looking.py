"""
Somebody who looks at the admin's pages over a real socket, and sends the forms that are in them.

    admin = Looking(client)
    await admin.sign_in(ROOT_TOKEN)
    page = await admin.get("/accounts")
    done = await admin.send("/accounts/new", name="Ann")
"""

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx

BASE = "/admin"


@dataclass
class Sent:
    """A form of a page: where it goes, and what stands in its fields."""

    method: str
    action: str
    fields: dict[str, list[str]] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Sent] = []
        self._chosen: str | None = None
        self._lines: str | None = None
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "form":
            self.forms.append(Sent(said.get("method") or "get", said.get("action") or ""))
            self._open = True
        if not self._open:
            return
        name, value = said.get("name"), said.get("value") or ""
        if tag == "input" and name and (said.get("type") != "checkbox" or "checked" in said):
            self.forms[-1].fields.setdefault(name, []).append(value)
        elif tag == "select" and name:
            self._chosen = name
        elif tag == "option" and self._chosen:
            if "selected" in said or self._chosen not in self.forms[-1].fields:
                self.forms[-1].fields[self._chosen] = [value]
        elif tag == "textarea" and name:
            self._lines = name
            self.forms[-1].fields[name] = [""]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False
        elif tag == "select":
            self._chosen = None
        elif tag == "textarea":
            self._lines = None

    def handle_data(self, data: str) -> None:
        if self._lines:
            # A browser drops the line break that follows the opening tag.
            begun = self.forms[-1].fields[self._lines][0]
            self.forms[-1].fields[self._lines] = [begun + (data if begun else data.lstrip("\n"))]


def forms_of(page: httpx.Response) -> list[Sent]:
    """Every form of a page."""
    parser = _Forms()
    parser.feed(page.text)
    return parser.forms


def text_of(page: httpx.Response) -> str:
    """What a person reads, on one line."""
    body = re.sub(r"(?s)<(script|style|title|desc)\b.*?</\1>", " ", page.text)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@dataclass
class Looking:
    """A browser without a script: keeps cookies, follows redirects when asked."""

    http: httpx.AsyncClient

    async def sign_in(self, token: str) -> httpx.Response:
        return await self.http.post(f"{BASE}/sign-in", data={"token": token, "next": f"{BASE}/"})

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(f"{BASE}{path}", **more)

    async def send(self, path: str, action: str = "", **typed: Any) -> httpx.Response:
        """Open a page, fill in its form (the one with that action) and send it."""
        page = await self.get(path)
        assert page.status_code == 200, page.text
        wanted = f"{BASE}{action}" if action else ""
        [form] = [
            form for form in forms_of(page) if form.method == "post" and form.action == wanted
        ]
        data: dict[str, Any] = {**form.fields, **typed}
        return await self.http.post(f"{BASE}{action or path.partition('?')[0]}", data=data)

    async def done(self, path: str, action: str = "", **typed: Any) -> httpx.Response:
        """The same, and the page that it leads to."""
        answer = await self.send(path, action, **typed)
        assert answer.status_code == 303, text_of(answer)
        page = await self.http.get(answer.headers["location"])
        assert page.status_code == 200, page.text
        return page
