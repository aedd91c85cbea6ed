// Comfort only: a wrong line's link leads into the text that is edited.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const text = document.getElementById("f-text");
  if (!text) return;
  document.querySelectorAll("[data-line]").forEach((link) => {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const lines = text.value.split("\n");
      const number = Math.min(Number(link.dataset.line), lines.length) - 1;
      const start = lines.slice(0, number).reduce((sum, line) => sum + line.length + 1, 0);
      text.focus();
      text.setSelectionRange(start, start + lines[number].length);
      text.scrollTop = Math.max(0, number - 4) * (text.scrollHeight / lines.length);
      text.scrollIntoView({ block: "center" });
    });
  });
});
