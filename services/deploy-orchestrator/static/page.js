// What htmx does not do: say whether a page that follows is still connected, and check all servers or none.
(() => {
  "use strict";

  const says = document.getElementById("connection");
  const show = (state, text) => {
    says.hidden = false;
    says.dataset.state = state;
    says.textContent = text;
  };
  const lost = () => {
    if (says.dataset.state === "lost" || says.dataset.state === "ended") return;
    const time = new Date().toISOString().slice(11, 19);
    show("lost", `✗ not connected since ${time} UTC; what you see may be old`);
  };

  const follows = (event) => event.target.closest?.("[data-follows]");
  document.addEventListener("htmx:sse:after:connection", () => show("live", "● live"));
  document.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) lost();
  });
  document.addEventListener("htmx:sse:error", lost);
  document.addEventListener("htmx:error", (event) => follows(event) && lost());
  document.addEventListener("htmx:sse:close", (event) => {
    if (event.detail.reason === "message") show("ended", "■ ended; nothing more will change");
    else lost();
  });

  for (const button of document.querySelectorAll("[data-check]")) button.hidden = false;
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-check]");
    if (!button) return;
    for (const box of button.form.querySelectorAll("input[name=on]")) {
      box.checked = button.dataset.check === "all";
    }
  });
})();
