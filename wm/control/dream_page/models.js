// Decoder, memory and controller, as wm/vision, wm/memory and wm/control define them.

"use strict";

const ACTION_SIZE = 3;
const TANH = { activation: "tanh", slope: 0 };

// Hands out a long row of numbers piece by piece.
class Reader {
  constructor(numbers) {
    this.numbers = numbers;
    this.at = 0;
  }

  take(count) {
    this.at += count;
    return this.numbers.subarray(this.at - count, this.at);
  }
}

class Decoder {
  constructor(facts, latent, reader) {
    let shape = [latent];
    this.layers = facts.map((layer) => {
      const inputs = shape.reduce((a, b) => a * b);
      const outputs = layer.shape.reduce((a, b) => a * b);
      const before = shape;
      shape = layer.shape;
      if (!layer.stride) {
        const weights = reader.take(outputs * inputs);
        return new Dense(inputs, outputs, weights, reader.take(outputs), layer);
      }
      const channels = layer.shape[2];
      const weights = reader.take(layer.kernel * layer.kernel * before[2] * channels);
      return new Transposed(before, layer, weights, reader.take(channels));
    });
  }

  // Returns the frame of z, 64 x 64 x 3 values in [0, 1].
  run(z) {
    return this.layers.reduce((x, layer) => layer.run(x), z);
  }
}

// The LSTM and its heads. `mixture` holds the logits of the weights, the means and the logarithms of
// the deviations of the Gaussians, (3, mixtures, latent), after each step.
class Memory {
  constructor({ latent, hidden, mixtures }, reader) {
    Object.assign(this, { latent, hidden, mixtures });
    const inputs = latent + ACTION_SIZE + hidden;
    const gates = reader.take(4 * hidden * inputs);
    this.gates = new Dense(inputs, 4 * hidden, gates, reader.take(4 * hidden));
    const outputs = 3 * mixtures * latent + 2;
    const heads = reader.take(outputs * hidden);
    this.heads = new Dense(hidden, outputs, heads, reader.take(outputs));
    this.input = zeros(inputs);
    this.h = this.input.subarray(latent + ACTION_SIZE);
    this.c = zeros(hidden);
    this.shares = zeros(mixtures);
  }

  begin(h, c) {
    this.h.set(h);
    this.c.set(c);
  }

  // Takes in z and the action; returns the reward that is expected and the chance of the end.
  step(z, action) {
    const { latent, hidden, h, c } = this;
    this.input.set(z);
    this.input.set(action, latent);
    const gates = this.gates.run(this.input); // input, forget, cell, output, as in PyTorch
    for (let i = 0; i < hidden; i++) {
      const kept = sigmoid(gates[hidden + i]) * c[i];
      c[i] = kept + sigmoid(gates[i]) * Math.tanh(gates[2 * hidden + i]);
      h[i] = sigmoid(gates[3 * hidden + i]) * Math.tanh(c[i]);
    }
    const out = this.heads.run(h);
    const events = 3 * this.mixtures * latent;
    this.mixture = out;
    return { reward: out[events], end: sigmoid(out[events + 1]) };
  }

  // Draws the next z at a temperature, which divides the logarithms of the weights and scales the
  // variance. `uniforms` in [0, 1) pick the Gaussians, `normals` are standard normal: one for each
  // latent dimension.
  sample(temperature, uniforms, normals, z) {
    const { latent, mixtures, mixture } = this;
    const size = mixtures * latent;
    const shares = this.shares;
    for (let i = 0; i < latent; i++) {
      let largest = -Infinity;
      for (let k = 0; k < mixtures; k++) largest = Math.max(largest, mixture[k * latent + i]);
      let total = 0;
      for (let k = 0; k < mixtures; k++) {
        total += shares[k] = Math.exp((mixture[k * latent + i] - largest) / temperature);
      }
      let chosen = 0;
      for (let sum = shares[0]; chosen < mixtures - 1 && sum <= uniforms[i] * total;) {
        sum += shares[++chosen];
      }
      const at = chosen * latent + i;
      const deviation = Math.exp(mixture[2 * size + at]) * Math.sqrt(temperature);
      z[i] = mixture[size + at] + deviation * normals[i];
    }
  }
}

// From z and h to steering in [-1, 1], gas and brake in [0, 1].
class Controller {
  constructor({ inputs, units, latent, hidden }, reader) {
    this.features = zeros(latent + (inputs === "zh" ? hidden : 0));
    this.latent = latent;
    const sizes = [this.features.length, ...(units ? [units] : []), ACTION_SIZE];
    this.layers = sizes.slice(1).map((outputs, i) => {
      const weights = reader.take(outputs * sizes[i]);
      return new Dense(sizes[i], outputs, weights, reader.take(outputs), TANH);
    });
  }

  act(z, h) {
    this.features.set(z);
    if (this.features.length > this.latent) this.features.set(h, this.latent);
    const [steer, gas, brake] = this.layers.reduce((x, layer) => layer.run(x), this.features);
    return [steer, (gas + 1) / 2, (brake + 1) / 2];
  }
}

// What the page has of one run: its three networks, and z, h and c at every start.
class Models {
  constructor(facts, numbers, starts) {
    const { name, title, latent, digest } = facts;
    Object.assign(this, { name, title, latent, digest });
    const reader = new Reader(numbers);
    this.decoder = facts.decoder && new Decoder(facts.decoder, facts.latent, reader);
    this.memory = new Memory(facts, reader);
    this.controller = new Controller(facts, reader);
    this.starts = Array.from({ length: starts }, () => ({
      z: reader.take(facts.latent),
      h: reader.take(facts.hidden),
      c: reader.take(facts.hidden),
    }));
  }
}

function bytes(base64) {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

// Returns the models of the page, a dream for each and the starts' frames, from its own elements. If
// so many pages of memory are too few, there are twice as many, until all fit.
function readPage(pages) {
  const content = JSON.parse(document.getElementById("content").textContent);
  const blocks = [...document.querySelectorAll(".numbers")];
  prepare(pages);
  try {
    const models = content.models.map((facts, i) => {
      const numbers = new Float32Array(bytes(blocks[i].textContent).buffer);
      return new Models(facts, numbers, content.starts.length);
    });
    const dreams = models.map((of) => new Dream(of));
    return { models, dreams, frames: content.starts.map((start) => bytes(start.frame)) };
  } catch (error) {
    if (!(error instanceof RangeError) || KERNEL.name !== "WebAssembly") throw error;
    return readPage(2 * pages);
  }
}
