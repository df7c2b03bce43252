// Hands, clock and picture: what the page does with its dreams.

"use strict";

const SIZE = 64;
const STEP = 1000 / 50; // milliseconds of the game's own time
const PAUSE_AT_END = 2000; // milliseconds before dreams that have all ended start again
const YOU = -1; // the driver; otherwise the number of the dream whose controller drives
// A key is held or not; the wheel turns by TURN a step. The networks have seen little beyond these.
const WHEEL = 0.8, TURN = 0.2, GAS = 0.6, BRAKE = 0.3;
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "gas", ArrowDown: "brake" };

const { models, dreams, frames } = readPage(1024); // 64 MiB
const views = models.map(addView);
const held = new Set();
const state = {
  driver: 0, start: 0, temperature: 1, paused: false, action: [0, 0, 0], endedAt: null,
};

// What a model is called where no picture stands beside it.
function label({ name, title }) {
  return models.filter((of) => of.title === title).length > 1 ? name : title;
}

function element(id) {
  return document.getElementById(id);
}

// Adds a dream's picture and numbers to the page; returns what changes of them.
function addView({ name, title, decoder }) {
  const figure = document.createElement("figure");
  figure.innerHTML = `
    <figcaption></figcaption>
    <div class="picture"><canvas width="64" height="64" role="img"></canvas><div class="over" hidden></div></div>
    <dl class="numbers-of">
      <div><dt>expected reward</dt><dd class="reward"></dd></div>
      <div><dt>sum</dt><dd class="total"></dd></div>
      <div><dt>chance of end</dt><dd class="end"></dd></div>
      <div><dt>step</dt><dd class="steps"></dd></div>
    </dl>`;
  const small = document.createElement("small");
  small.textContent = name;
  figure.querySelector("figcaption").append(`${title} `, small);
  const canvas = figure.querySelector("canvas");
  canvas.setAttribute("aria-label", `The dream of ${title}, ${name}`);
  element("dreams").append(figure);
  const part = (of) => figure.querySelector(`.${of}`);
  const view = {
    context: canvas.getContext("2d"), image: new ImageData(SIZE, SIZE), over: part("over"),
    reward: part("reward"), total: part("total"), end: part("end"), steps: part("steps"),
  };
  view.image.data.fill(255);
  if (!decoder) say(view, "This page cannot draw what this decoder makes.");
  return view;
}

function say(view, text) {
  view.over.textContent = text;
  view.over.hidden = !text;
}

function paint(context, image, pixels, scale) {
  for (let i = 0, from = 0; i < image.data.length; i += 4) {
    image.data[i] = pixels[from++] * scale;
    image.data[i + 1] = pixels[from++] * scale;
    image.data[i + 2] = pixels[from++] * scale;
  }
  context.putImageData(image, 0, 0);
}

function signed(value, digits) {
  const size = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(size) ? "\u2212" : "+") + size;
}

function farewell(dream) {
  if (!dream.ended) return "";
  const expected = dream.near >= END.steps;
  return expected ? "The memory expects the drive to end here." : `${LONGEST} steps: a drive is over.`;
}

function show() {
  dreams.forEach((dream, i) => {
    const view = views[i];
    const frame = dream.frame();
    if (frame) {
      paint(view.context, view.image, frame, 255);
      say(view, farewell(dream));
    }
    view.reward.textContent = signed(dream.reward, 2);
    view.total.textContent = signed(dream.total, 1);
    view.end.textContent = `${(100 * dream.end).toFixed(2)} %`;
    view.end.classList.toggle("high", dream.end > END.chance);
    view.steps.textContent = dream.steps;
  });
  const [steer, gas, brake] = state.action;
  element("steer").style.left = `${50 + 50 * Math.min(0, steer)}%`;
  element("steer").style.width = `${50 * Math.abs(steer)}%`;
  element("gas").style.width = `${100 * gas}%`;
  element("brake").style.width = `${100 * brake}%`;
}

function yourAction() {
  const target = WHEEL * (held.has("right") - held.has("left"));
  const turn = Math.max(-TURN, Math.min(TURN, target - state.action[0]));
  return [state.action[0] + turn, GAS * held.has("gas"), BRAKE * held.has("brake")];
}

// One step of every dream that has not ended, all with the same action and the same noise.
function step() {
  const live = dreams.filter((dream) => !dream.ended);
  if (!live.length) return;
  if (state.driver === YOU) {
    state.action = yourAction();
  } else {
    const chosen = dreams[state.driver];
    state.action = (chosen.ended ? live[0] : chosen).act();
  }
  const { uniforms, normals } = noise(Math.max(...models.map((of) => of.latent)));
  for (const dream of live) dream.step(state.action, state.temperature, uniforms, normals);
}

function restart() {
  dreams.forEach((dream) => dream.reset(state.start));
  state.action = [0, 0, 0];
  state.endedAt = null;
  show();
}

function choose(driver) {
  state.driver = driver;
  [...element("drivers").children].forEach((button) => {
    button.setAttribute("aria-pressed", String(Number(button.value) === driver));
  });
  const hint = "An arrow key or the pad hands the wheel to you.";
  element("status").textContent =
    driver === YOU ? "You drive." : `${label(models[driver])}\u2019s controller drives. ${hint}`;
}

function pause(paused) {
  state.paused = paused;
  element("pause").textContent = paused ? "Go on" : "Pause";
}

function begin(start) {
  state.start = start;
  [...element("starts").children].forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === start));
  });
  restart();
}

function hold(what, down) {
  if (down) held.add(what);
  else held.delete(what);
  document.querySelector(`[data-hold=${what}]`).classList.toggle("held", down);
  if (down && state.driver !== YOU) choose(YOU);
  if (down && state.paused) pause(false);
}

function release() {
  for (const what of [...held]) hold(what, false);
}

// Time: at most one step a frame of the screen, and 50 a second.
const clock = { last: null, due: 0, frames: 0, since: 0, busy: 0 };

function tick(now) {
  requestAnimationFrame(tick);
  if (clock.last === null) clock.last = clock.since = now;
  clock.due = Math.min(clock.due + now - clock.last, 2 * STEP);
  clock.last = now;
  if (!state.paused && clock.due >= STEP) {
    const started = performance.now();
    clock.due -= STEP;
    step();
    show();
    if (dreams.every((dream) => dream.ended)) {
      state.endedAt ??= now;
      if (now - state.endedAt > PAUSE_AT_END) restart();
    }
    clock.busy += performance.now() - started;
    clock.frames += 1;
  }
  if (now - clock.since >= 1000) {
    const rate = (1000 * clock.frames) / (now - clock.since);
    const each = clock.busy / Math.max(1, clock.frames);
    state.rate = rate;
    element("rate").textContent =
      `${rate.toFixed(0)} frames/s, ${each.toFixed(1)} ms of computing a frame`;
    Object.assign(clock, { frames: 0, since: now, busy: 0 });
  }
}

function button(text, value, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.value = value;
  made.append(text);
  made.addEventListener("click", act);
  return made;
}

models.forEach((of, i) => {
  const text = models.length > 1 ? `${label(of)}\u2019s controller` : "The controller";
  element("drivers").append(button(text, i, () => choose(i)));
});
element("drivers").prepend(button("You", YOU, () => choose(YOU)));

frames.forEach((frame, i) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const image = new ImageData(SIZE, SIZE);
  image.data.fill(255);
  paint(canvas.getContext("2d"), image, frame, 1);
  const made = button(canvas, i, () => begin(i));
  made.setAttribute("aria-label", `Start ${i + 1}`);
  element("starts").append(made);
});

element("pause").addEventListener("click", () => pause(!state.paused));
element("restart").addEventListener("click", restart);
element("temperature").addEventListener("input", (event) => {
  state.temperature = Number(event.target.value);
  element("degrees").textContent = state.temperature.toFixed(2);
});
// the keys are the car's again once the slider is let go or a button was pointed at
element("temperature").addEventListener("pointerup", (event) => event.target.blur());
document.addEventListener("click", (event) => {
  if (event.detail) event.target.closest("button, summary")?.blur(); // 0: a key's click
});

document.querySelectorAll("[data-hold]").forEach((pedal) => {
  const what = pedal.dataset.hold;
  pedal.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pedal.setPointerCapture(event.pointerId);
    hold(what, true);
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    pedal.addEventListener(name, () => hold(what, false));
  }
  pedal.addEventListener("contextmenu", (event) => event.preventDefault());
  // space and Enter, for whoever has come to it by Tab
  for (const name of ["keydown", "keyup"]) {
    pedal.addEventListener(name, (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) hold(what, name === "keydown");
    });
  }
  pedal.addEventListener("blur", () => hold(what, false));
});

// Whether a letter's key was pressed; on a keyboard without that letter, the key at its place.
function pressed({ key, code }, letter) {
  const latin = /^[a-z]$/i.test(key);
  return latin ? key.toLowerCase() === letter : code === `Key${letter.toUpperCase()}`;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  if (target.matches("input")) return;
  if (KEYS[event.key]) {
    event.preventDefault();
    if (!event.repeat) hold(KEYS[event.key], true);
  } else if (event.key === " " && !target.matches("button, summary")) {
    event.preventDefault();
    if (!event.repeat) pause(!state.paused);
  } else if (!event.repeat && pressed(event, "c")) {
    choose(state.driver === YOU ? 0 : (state.driver + 1) % models.length);
  } else if (!event.repeat && pressed(event, "r")) {
    restart();
  }
});
document.addEventListener("keyup", (event) => {
  if (KEYS[event.key]) hold(KEYS[event.key], false);
  if (event.key === "Meta") release(); // under it macOS tells of no key that is let go
});
window.addEventListener("blur", release);
document.addEventListener("visibilitychange", () => document.hidden && release());

choose(0);
begin(0);
requestAnimationFrame(tick);
