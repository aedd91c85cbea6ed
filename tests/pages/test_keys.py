"""Keys on the consumer's pages: made with the key shown again, seen once, revoked at once."""

import re

from playwright.sync_api import expect

from tests.pages import pictures
from tests.pages.browser import Chromium
from tests.pages.demo import Demo, until
from tests.pages.faults import wrong_with
from tests.pages.people import enter_key, follow_link, go


def test_a_revoked_key_is_refused_on_the_next_call(chromium: Chromium, demo: Demo) -> None:
    kim = demo.account("kim", granted=50)
    second = demo.key("kim", "reports", "call")
    assert demo.call(second["key"]).status_code == 200

    with chromium.visitor() as page:
        enter_key(page, demo, kim.key)
        go(page, "Keys")
        page.get_by_role("link", name="reports", exact=True).click()
        page.get_by_text("Revoke this key", exact=True).click()
        page.get_by_role("button", name="Yes, revoke it").click()
        expect(page.get_by_text("calls with it are refused")).to_be_visible()
        assert demo.call(second["key"]).status_code == 401

    assert demo.call(kim.key).status_code == 200


def test_a_key_is_made_with_the_key_shown_again_and_is_seen_once(
    chromium: Chromium, demo: Demo
) -> None:
    lea = demo.account("lea", granted=50)
    with chromium.visitor() as page:
        follow_link(page, demo, "lea")
        go(page, "Keys")
        page.get_by_label("Name").fill("made here")
        page.get_by_label("Your API key").fill("fbx_" + "0" * 30)
        page.get_by_role("button", name="Make a key").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("[aria-invalid=true]")).to_have_count(1)
        assert wrong_with(page) == []
        page.get_by_label("Your API key").fill(lea.key)
        page.get_by_role("button", name="Make a key").click()
        expect(page.get_by_text("This is the only time the key is shown.")).to_be_visible()
        pictures.keep(page, "consumer-key-made", "light")
        assert wrong_with(page) == []
        shown = page.get_by_text(re.compile(r"^fbx_\w+$")).inner_text()
        page.get_by_role("link", name="I have kept it").click()
        expect(page.get_by_role("link", name="made here", exact=True)).to_be_visible()
        assert shown not in page.content()

    until(lambda: demo.call(shown).status_code == 200, "the new key works")


def test_who_signed_in_with_a_key_is_out_when_it_is_revoked(chromium: Chromium, demo: Demo) -> None:
    max_ = demo.account("max", granted=5)
    with chromium.visitor() as page:
        enter_key(page, demo, max_.key)
        demo.ask_admin("DELETE", f"/keys/{max_.key_id}")
        go(page, "Charges")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        page.get_by_label("API key").fill(max_.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("[aria-invalid=true]")).to_have_count(1)
        assert wrong_with(page) == []


def test_a_form_of_another_session_changes_nothing(chromium: Chromium, demo: Demo) -> None:
    demo.account("nel", granted=5)
    other = demo.key("nel", "spare")
    with chromium.visitor() as page:
        follow_link(page, demo, "nel")
        page.goto(f"{demo.public}/farebox/keys/{other['id']}")
        page.evaluate(
            "() => document.querySelectorAll('[name=form_token]')"
            ".forEach((field) => { field.value = 'f'.repeat(64) })"
        )
        page.get_by_text("Revoke this key", exact=True).click()
        page.get_by_role("button", name="Yes, revoke it").click()
        expect(page.get_by_text("The form is not of this session")).to_be_visible()
    assert demo.call(other["key"]).status_code == 200
