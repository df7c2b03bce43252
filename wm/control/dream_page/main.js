// Drivers, clock and picture: what the page does with its dreams.

"use strict";

const SIZE = 64;
const STEP = 1000 / 50; // milliseconds of the game's own time
const PAUSE_AT_END = 2000; // milliseconds before dreams that have all ended start again
const YOU = -1; // the driver; otherwise the number of the dream whose controller drives
// A pedal is held or not; the wheel turns by TURN a step. The networks have seen little beyond these.
const WHEEL = 0.8, TURN = 0.2, GAS = 0.6, BRAKE = 0.3;

const { models, dreams, frames } = readPage(1024); // 64 MiB
const views = models.map(addView);
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
      <div><dt><span class="long">chance of </span>end</dt><dd class="end"></dd></div>
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
  showBar("steer", 50 + 50 * Math.min(0, steer), 50 * Math.abs(steer), steer);
  showBar("gas", 0, 100 * gas, gas);
  showBar("brake", 0, 100 * brake, brake);
  describe();
}

function showBar(id, left, width, value) {
  const { style } = element(id);
  style.left = `${left}%`;
  style.width = `${width}%`;
  element(id).setAttribute("aria-valuenow", value.toFixed(1));
}

// The number of the dream whose controller drives: the chosen one's, or where that has ended, the
// first that has not.
function controlling() {
  const other = dreams.findIndex((dream) => !dream.ended);
  return dreams[state.driver].ended && other >= 0 ? other : state.driver;
}

// Says in words who drives and what has ended, where that has changed: it is read aloud.
function describe() {
  const over = models.filter((_, i) => dreams[i].ended);
  const text = [
    state.paused ? "Paused." : "",
    ...over.map((of) => `${label(of)}\u2019s dream is over.`),
    state.driver === YOU ? "You drive." : `${label(models[controlling()])}\u2019s controller drives.`,
    state.driver === YOU ? "" : "An arrow key or the pad hands the wheel to you.",
  ].filter((part) => part).join(" ");
  if (element("status").textContent !== text) element("status").textContent = text;
}

function yourAction() {
  const target = WHEEL * (holds("right") - holds("left"));
  const turn = Math.max(-TURN, Math.min(TURN, target - state.action[0]));
  return [state.action[0] + turn, GAS * holds("gas"), BRAKE * holds("brake")];
}

// One step of every dream that has not ended, all with the same action and the same noise.
function step() {
  const live = dreams.filter((dream) => !dream.ended);
  if (!live.length) return;
  if (state.driver === YOU) {
    state.action = yourAction();
  } else {
    state.action = dreams[controlling()].act();
  }
  tapped.clear();
  const { uniforms, normals } = noise(Math.max(...models.map((of) => of.latent)));
  for (const dream of live) dream.step(state.action, state.temperature, uniforms, normals);
}

function restart() {
  dreams.forEach((dream) => dream.reset(state.start));
  state.action = [0, 0, 0];
  state.endedAt = null;
  tapped.clear();
  show();
}

function choose(driver) {
  state.driver = driver;
  [...element("drivers").children].forEach((button) => {
    button.setAttribute("aria-pressed", String(Number(button.value) === driver));
  });
  describe();
}

function pause(paused) {
  state.paused = paused;
  element("pause").textContent = paused ? "Go on" : "Pause";
  element("rate").textContent = "";
  forgetTime();
  describe();
}

function begin(start) {
  state.start = start;
  [...element("starts").children].forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === start));
  });
  restart();
}

// Whoever presses a pedal drives.
function takeTheWheel() {
  if (state.driver !== YOU) choose(YOU);
  if (state.paused) pause(false);
}

// Time: 50 steps a second. A screen that is slower than that gets two steps in a picture, where
// computing them leaves time to spare.
const clock = { last: null, due: 0, steps: 0, since: 0, busy: 0 };

// After a pause, and where the page was out of sight, the time begins anew.
function forgetTime() {
  Object.assign(clock, { last: null, due: 0, steps: 0, busy: 0 });
}

function tick(now) {
  requestAnimationFrame(tick);
  if (clock.last === null) clock.last = clock.since = now;
  clock.due = Math.min(clock.due + now - clock.last, 3 * STEP);
  clock.last = now;
  if (!state.paused && clock.due >= STEP) advance(now);
  if (now - clock.since >= 1000) {
    state.rate = (1000 * clock.steps) / (now - clock.since);
    const each = clock.busy / clock.steps;
    element("rate").textContent = clock.steps
      ? `${state.rate.toFixed(0)} steps/s, ${each.toFixed(1)} ms of computing a step` : "";
    Object.assign(clock, { steps: 0, since: now, busy: 0 });
  }
}

function advance(now) {
  const started = performance.now();
  do {
    clock.due -= STEP;
    step();
    clock.steps += 1;
  } while (clock.due >= STEP && performance.now() - started < STEP / 4);
  show();
  if (dreams.every((dream) => dream.ended)) {
    state.endedAt ??= now;
    if (now - state.endedAt > PAUSE_AT_END) restart();
  }
  clock.busy += performance.now() - started;
  if (state.endedAt !== null) Object.assign(clock, { steps: 0, since: now, busy: 0 });
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

element("made").textContent = "The game is CarRacing-v3 of gymnasium. Made by \u201cWorld Models on "
  + "CarRacing, as a pipeline you can repeat\u201d (MIT license) of "
  + models.map(({ name, digest }) => `${name} (numbers ${digest})`).join(" and ") + ".";
element("pause").addEventListener("click", () => pause(!state.paused));
document.addEventListener("visibilitychange", forgetTime);
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

// Whether a letter's key was pressed; on a keyboard without that letter, the key at its place.
function pressed({ key, code }, letter) {
  const latin = /^[a-z]$/i.test(key);
  return latin ? key.toLowerCase() === letter : code === `Key${letter.toUpperCase()}`;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  if (target.matches("input") && /^(Arrow|Page|Home|End)/.test(event.key)) return; // the slider's
  if (KEYS[event.key]) {
    event.preventDefault();
    if (!event.repeat) press(KEYS[event.key], "arrow");
  } else if (event.key === " " && !target.matches("button, summary")) {
    event.preventDefault();
    if (!event.repeat) pause(!state.paused);
  } else if (!event.repeat && pressed(event, "c")) {
    choose(state.driver === YOU ? 0 : (state.driver + 1) % models.length);
  } else if (!event.repeat && pressed(event, "r")) {
    restart();
  }
});
choose(0);
begin(0);
if (matchMedia("(prefers-reduced-motion: reduce)").matches) pause(true);
requestAnimationFrame(tick);
