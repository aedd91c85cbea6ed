"""What the other tests look with notices what it is for: each is shown a page that is wrong."""

import json
from pathlib import Path

from tests.pages import keyboard
from tests.pages.axe import grave_violations
from tests.pages.browser import NET_LOG, Chromium, outside
from tests.pages.demo import Demo
from tests.pages.pictures import overflow_px

FRAME = '<!doctype html><html lang="en"><title>T</title><main id="main">{}</main></html>'


def test_pale_text_and_a_field_without_a_label_are_grave(chromium: Chromium, demo: Demo) -> None:
    with chromium.visitor() as page:
        page.set_content(FRAME.format('<p style="color: #bbb">pale</p><input>'))
        found = grave_violations(page)
        assert any("color-contrast" in one for one in found)
        assert any("label" in one for one in found)

        page.set_content(FRAME.format("<p>dark</p><label>Name <input></label>"))
        assert grave_violations(page) == []


def test_a_control_off_the_tabs_way_and_a_hidden_focus_are_noticed(
    chromium: Chromium, demo: Demo
) -> None:
    with chromium.visitor() as page:
        page.set_content(FRAME.format('<a href="#a">one</a><button>two</button>'))
        assert keyboard.left_out(page) == []

        page.set_content(FRAME.format('<button tabindex="-1">two</button>'))
        assert keyboard.left_out(page) == ["not reached: button two"]

        page.set_content(FRAME.format('<button style="outline: none">two</button>'))
        assert keyboard.left_out(page) == ["focus not seen: button two"]

        trap = "<a href='#a' onkeydown='if (event.key == \"Tab\") event.preventDefault()'>one</a>"
        page.set_content(FRAME.format(f"{trap}<button>two</button>"))
        assert keyboard.left_out(page) == ["not reached: button two"]


def test_a_skip_link_that_leads_nowhere_is_noticed(chromium: Chromium, demo: Demo) -> None:
    body = '<body><a href="#main">Skip</a><a href="#b">b</a><main{}><button>c</button></main>'
    with chromium.visitor() as page:
        page.set_content(f"<!doctype html>{body.format(' id=main tabindex=-1')}")
        assert keyboard.skips_to_main(page)
        page.set_content(f"<!doctype html>{body.format('')}")
        assert not keyboard.skips_to_main(page)


def test_what_is_wider_than_the_window_is_noticed(chromium: Chromium, demo: Demo) -> None:
    with chromium.visitor(narrow=True) as page:
        page.set_content(FRAME.format('<div style="width: 500px">wide</div>'))
        assert overflow_px(page) > 0
        page.set_content(FRAME.format("<p>words</p>"))
        assert overflow_px(page) == 0


def test_strangers_and_what_the_policy_stops_are_told(chromium: Chromium, demo: Demo) -> None:
    with chromium.visitor() as page:
        page.goto(f"{demo.public}/farebox/")
        page.evaluate("() => fetch('http://example.com/').catch(() => 0)")
        page.evaluate("() => setTimeout(() => { throw new Error('broken') })")
        page.wait_for_function("() => true")
        page.set_content(FRAME.format('<img src="http://example.com/x.png" alt="x">'))
        page.wait_for_load_state()

    assert "http://example.com/x.png" in chromium.witness.take_strangers(demo.origins)
    told = chromium.witness.take_complaints()
    assert any("Content-Security-Policy: connect-src" in one for one in told)
    assert any("script: " in one and "broken" in one for one in told)


def test_a_connection_of_the_browser_itself_to_elsewhere_is_noticed(tmp_path: Path) -> None:
    events = [{"type": 7, "params": {"address": one}} for one in ("127.0.0.1:80", "192.0.2.1:443")]
    log = {"constants": {"logEventTypes": {"TCP_CONNECT_ATTEMPT": 7}}, "events": events}
    (tmp_path / NET_LOG).write_text(json.dumps(log))
    assert outside(tmp_path) == ["192.0.2.1:443"]
