// The two kinds of layers that wm/control/dream_page/networks.py makes of a decoder.

"use strict";

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

// Applies an activation, by its name, to the first `count` values.
function activate(values, count, { activation, slope }) {
  switch (activation) {
    case "relu":
    case "leaky":
      for (let i = 0; i < count; i++) if (values[i] < 0) values[i] *= slope;
      break;
    case "sigmoid":
      for (let i = 0; i < count; i++) values[i] = sigmoid(values[i]);
      break;
    case "tanh":
      for (let i = 0; i < count; i++) values[i] = Math.tanh(values[i]);
      break;
  }
}

const LINEAR = { activation: "", slope: 0 };

// weights: (outputs, inputs), row by row.
class Dense {
  constructor(inputs, outputs, weights, bias, facts = LINEAR) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.facts = facts;
    const blocks = Math.ceil(outputs / LANES);
    this.weights = zeros(blocks * inputs * LANES);
    for (let o = 0; o < outputs; o++) {
      const block = Math.floor(o / LANES) * inputs * LANES + (o % LANES);
      for (let i = 0; i < inputs; i++) this.weights[block + i * LANES] = weights[o * inputs + i];
    }
    this.bias = zeros(blocks * LANES);
    this.bias.set(bias);
    this.out = zeros(blocks * LANES);
  }

  run(x) {
    const block = this.inputs * LANES;
    for (let to = 0, at = 0; to < this.out.length; to += LANES, at += block) {
      multiply(x, 0, 0, 1, this.inputs, this.weights, at, 0, this.bias, this.out, to);
    }
    activate(this.out, this.outputs, this.facts);
    return this.out;
  }
}

// A transposed convolution as an ordinary one. With stride s, the s x s pixels that come of one
// place are s * s * channels outputs of the same window of inputs. Feature maps are (rows, columns,
// channels), weights (kernel, kernel, channels in, channels out).
class Transposed {
  constructor([height, width, inputs], facts, weights, bias) {
    const { kernel, stride, padding, shape } = facts;
    Object.assign(this, { height, width, inputs, stride, padding, facts });
    [this.outHeight, this.outWidth, this.channels] = shape;
    this.taps = Math.ceil(kernel / stride);
    const outputs = stride * stride * this.channels;
    const blocks = Math.ceil(outputs / LANES);
    this.row = this.taps * inputs * LANES;
    this.weights = zeros(blocks * this.taps * this.row);
    this.bias = zeros(blocks * LANES);
    // rows and columns of the window that a block has no weights for, where the kernel is odd
    this.first = new Int32Array(2 * blocks).fill(this.taps);
    for (let o = 0; o < outputs; o++) {
      const channel = o % this.channels;
      const pixel = Math.floor(o / this.channels);
      const down = Math.floor(pixel / stride), right = pixel % stride;
      const block = Math.floor(o / LANES);
      this.bias[o] = bias[channel];
      for (let r = 0; r < this.taps; r++) {
        for (let c = 0; c < this.taps; c++) {
          const y = down + stride * (this.taps - 1 - r), x = right + stride * (this.taps - 1 - c);
          if (y >= kernel || x >= kernel) continue;
          this.first[2 * block] = Math.min(this.first[2 * block], r);
          this.first[2 * block + 1] = Math.min(this.first[2 * block + 1], c);
          const to = (block * this.taps + r) * this.row + c * inputs * LANES + (o % LANES);
          const from = (y * kernel + x) * inputs * this.channels + channel;
          for (let i = 0; i < inputs; i++) {
            this.weights[to + i * LANES] = weights[from + i * this.channels];
          }
        }
      }
    }
    this.outputs = outputs;
    this.pixels = zeros(blocks * LANES);
    this.out = zeros(this.outHeight * this.outWidth * this.channels);
  }

  run(x) {
    const { stride, padding } = this;
    const downTo = Math.floor((this.outHeight - 1 + padding) / stride);
    const rightTo = Math.floor((this.outWidth - 1 + padding) / stride);
    for (let y = Math.floor(padding / stride); y <= downTo; y++) {
      for (let column = Math.floor(padding / stride); column <= rightTo; column++) {
        this.window(x, y, column);
        activate(this.pixels, this.outputs, this.facts);
        this.place(y * stride - padding, column * stride - padding);
      }
    }
    return this.out;
  }

  // Computes the outputs of the window whose last row and column are `y` and `column`.
  window(x, y, column) {
    const { height, width, inputs, taps, row } = this;
    const top = y - taps + 1, left = column - taps + 1;
    const above = Math.max(0, -top), before = Math.max(0, -left);
    const below = Math.min(taps, height - top), after = Math.min(taps, width - left);
    for (let block = 0, to = 0; to < this.pixels.length; block++, to += LANES) {
      const r = Math.max(above, this.first[2 * block]);
      const c = Math.max(before, this.first[2 * block + 1]);
      const from = ((top + r) * width + left + c) * inputs;
      const length = Math.max(0, after - c) * inputs;
      const at = (block * taps + r) * row + c * inputs * LANES;
      multiply(x, from, width * inputs, below - r, length, this.weights, at, row, this.bias,
        this.pixels, to);
    }
  }

  // Puts stride x stride pixels where they belong; what lies outside was cut off by the padding.
  place(top, left) {
    const { stride, channels, outHeight, outWidth } = this;
    for (let down = 0; down < stride; down++) {
      const y = top + down;
      if (y < 0 || y >= outHeight) continue;
      for (let right = 0; right < stride; right++) {
        const x = left + right;
        if (x < 0 || x >= outWidth) continue;
        let from = (down * stride + right) * channels;
        const to = (y * outWidth + x) * channels;
        for (let i = 0; i < channels; i++) this.out[to + i] = this.pixels[from++];
      }
    }
  }
}
