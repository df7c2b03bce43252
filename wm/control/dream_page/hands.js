// What hands hold: arrow keys and the pad's pedals, by touch, mouse, Space, Enter or a mere click.

"use strict";

const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "gas", ArrowDown: "brake" };
const CLICK = 200; // milliseconds that a click without a pointer holds a pedal

// For each pedal, who holds it: one who lets go does not let go for the others.
const holders = { left: new Set(), right: new Set(), gas: new Set(), brake: new Set() };
// Pedals that were pressed since the last step: what is pressed and let go between two steps counts.
const tapped = new Set();
const fingers = new Map(); // the pedal that each pointer holds
const pad = document.querySelector(".drive");

function holds(pedal) {
  return holders[pedal].size > 0 || tapped.has(pedal);
}

function press(pedal, holder) {
  holders[pedal].add(holder);
  tapped.add(pedal);
  mark(pedal);
  takeTheWheel();
}

function letGo(pedal, holder) {
  holders[pedal].delete(holder);
  mark(pedal);
}

function letAllGo() {
  for (const pedal of Object.keys(holders)) {
    holders[pedal].clear();
    mark(pedal);
  }
  tapped.clear();
  fingers.clear();
}

function mark(pedal) {
  const down = holders[pedal].size > 0;
  document.querySelector(`[data-hold=${pedal}]`).classList.toggle("held", down);
}

function pedalAt({ clientX, clientY }) {
  return document.elementFromPoint(clientX, clientY)?.closest("[data-hold]")?.dataset.hold;
}

pad.addEventListener("pointerdown", (event) => {
  const pedal = pedalAt(event);
  if (!pedal) return;
  event.preventDefault();
  pad.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, pedal);
  press(pedal, event.pointerId);
});
// a thumb that slides to another pedal presses that one; beside them it keeps the one it has
pad.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId), pedal = pedalAt(event);
  if (!before || !pedal || pedal === before) return;
  letGo(before, event.pointerId);
  fingers.set(event.pointerId, pedal);
  press(pedal, event.pointerId);
});
for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
  pad.addEventListener(name, ({ pointerId }) => {
    const pedal = fingers.get(pointerId);
    fingers.delete(pointerId);
    if (pedal) letGo(pedal, pointerId);
  });
}
pad.addEventListener("contextmenu", (event) => event.preventDefault());

document.querySelectorAll("[data-hold]").forEach((button) => {
  const pedal = button.dataset.hold;
  // Space and Enter, for whoever has come to it by Tab
  for (const name of ["keydown", "keyup"]) {
    button.addEventListener(name, (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (name === "keyup") letGo(pedal, event.key);
      else if (!event.repeat) press(pedal, event.key);
    });
  }
  button.addEventListener("blur", () => {
    letGo(pedal, " ");
    letGo(pedal, "Enter");
  });
  // without a pointer: a screen reader's, or by voice
  button.addEventListener("click", (event) => {
    if (event.detail) return;
    const holder = Symbol("click");
    press(pedal, holder);
    setTimeout(letGo, CLICK, pedal, holder);
  });
});

document.addEventListener("keyup", (event) => {
  if (KEYS[event.key]) letGo(KEYS[event.key], "arrow");
  if (event.key === "Meta") letAllGo(); // under it macOS tells of no key that is let go
});
window.addEventListener("blur", letAllGo);
document.addEventListener("visibilitychange", () => document.hidden && letAllGo());
