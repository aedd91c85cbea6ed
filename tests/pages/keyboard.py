"""A page without a mouse: which controls Tab reaches, and whether the focus is seen."""

from typing import Any

from playwright.sync_api import Page

MOST_TABS = 500

# One radio button stands for its group, as it does for Tab.
_MARK = """() => {
    let number = 0;
    const groups = new Set();
    const names = {};
    const controls = 'a[href], button, input, select, textarea, summary';
    for (const element of document.querySelectorAll(`${controls}, [tabindex]`)) {
        if (element.disabled || element.type === 'hidden' || element.ariaHidden) continue;
        if (element.tabIndex < 0 && !element.matches(controls)) continue;
        if (!element.checkVisibility({ visibilityProperty: true })) continue;
        if (element.type === 'radio') {
            const group = `${element.form?.action} ${element.name}`;
            if (groups.has(group)) continue;
            groups.add(group);
        }
        element.dataset.control = String(++number);
        const text = element.ariaLabel || element.textContent.trim() || element.name;
        names[number] = `${element.localName} ${text.slice(0, 40)}`;
    }
    return names;
}"""

_FOCUSED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    const box = element.getBoundingClientRect();
    let control = element.dataset.control;
    if (!control && element.type === 'radio') {
        const others = document.querySelectorAll(`input[name="${element.name}"][data-control]`);
        control = others[0]?.dataset.control;
    }
    return {
        control,
        seen: (outlined || style.boxShadow !== 'none') && box.width > 1 && box.height > 1,
        name: `${element.localName} ${element.textContent.trim().slice(0, 40)}`,
    };
}"""


def left_out(page: Page) -> list[str]:
    """Return the controls that Tab does not reach, and those whose focus is not seen."""
    names: dict[str, str] = page.evaluate(_MARK)
    page.evaluate("document.activeElement.blur()")
    reached: dict[str, bool] = {}
    last = None
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        focused: dict[str, Any] | None = page.evaluate(_FOCUSED)
        # A date has parts of its own, which Tab stops at; else what comes again is a round.
        if focused is None or (focused["control"] in reached and focused["control"] != last):
            break
        last = focused["control"]
        if last is not None:
            reached[last] = focused["seen"] or reached.get(last, False)
    unreached = [f"not reached: {name}" for number, name in names.items() if number not in reached]
    unseen = [f"focus not seen: {names[number]}" for number, seen in reached.items() if not seen]
    return unreached + unseen


def skips_to_main(page: Page) -> bool:
    """Whether the first Tab and Enter lead past the navigation."""
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    inside = "() => document.activeElement?.closest('main') !== null"
    return bool(page.evaluate(inside))
