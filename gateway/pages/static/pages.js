// Comfort only: every page works without this file.
"use strict";
(() => {
  const root = document.documentElement;
  const stored = (() => {
    try { return localStorage.getItem("farebox_theme"); } catch { return null; }
  })();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;

  const dark = () => (root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches);

  function themeSwitch(button) {
    const name = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours"); };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("farebox_theme", root.dataset.theme); } catch { /* it lasts for this page */ }
      name();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  }

  const pad = (number) => String(number).padStart(2, "0");

  function ownZone(time) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    time.title = time.textContent;
    time.textContent = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} `
      + `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  }

  function copying(button) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("pre").textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select and copy";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2500);
    });
  }

  // A part of a page that changes: fetched again until it has lost its data-poll.
  async function poll(part, tries) {
    const wait = Number(part.dataset.poll) * 1000;
    await new Promise((done) => { setTimeout(done, wait); });
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const next = page.getElementById(part.id);
        if (!next) { location.reload(); return; }
        const heading = page.querySelector("h1");
        if (heading) document.querySelector("h1").textContent = heading.textContent;
        document.title = page.title;
        part.replaceWith(next);
        prepare(next);
        part = next;
      }
    } catch { /* asked again below */ }
    if (part.dataset.poll && tries > 0) poll(part, tries - 1);
  }

  function prepare(within) {
    within.querySelectorAll("time[datetime]").forEach(ownZone);
    within.querySelectorAll("[data-copy]").forEach(copying);
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-theme-switch]").forEach(themeSwitch);
    prepare(document);
    document.querySelectorAll("[data-poll][id]").forEach((part) => { poll(part, 200); });
    document.querySelectorAll("[data-zone]").forEach((note) => {
      note.textContent = `Times in your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`;
    });
    document.querySelectorAll(".body > nav [aria-current]").forEach((here) => {
      here.scrollIntoView({ block: "nearest", inline: "center" });
    });
  });
})();
