// What both networks are made of: sums of products, eight outputs at a time.
//
// Weights are laid out so that the innermost loop reads memory in its order: for each block of eight
// outputs, eight weights for every input. Float64Array spares the processor a conversion at every
// step (JavaScript computes in float64), which makes it faster than Float32Array here.

"use strict";

const LANES = 8;
const Numbers = Float64Array;

// Adds to eight outputs the products of `rows` runs of `length` inputs, the runs `step` apart in `x`
// and `skip` apart in `weights`.
function multiply(x, from, step, rows, length, weights, at, skip, bias, out, to) {
  let a = bias[to], b = bias[to + 1], c = bias[to + 2], d = bias[to + 3];
  let e = bias[to + 4], f = bias[to + 5], g = bias[to + 6], h = bias[to + 7];
  for (let row = 0; row < rows; row++) {
    let w = at + row * skip;
    const first = from + row * step;
    for (let i = first; i < first + length; i++) {
      const value = x[i];
      a += value * weights[w];
      b += value * weights[w + 1];
      c += value * weights[w + 2];
      d += value * weights[w + 3];
      e += value * weights[w + 4];
      f += value * weights[w + 5];
      g += value * weights[w + 6];
      h += value * weights[w + 7];
      w += LANES;
    }
  }
  out[to] = a; out[to + 1] = b; out[to + 2] = c; out[to + 3] = d;
  out[to + 4] = e; out[to + 5] = f; out[to + 6] = g; out[to + 7] = h;
}

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

const ACTIVATIONS = {
  "": null,
  relu: () => (x) => (x > 0 ? x : 0),
  leaky: (slope) => (x) => (x > 0 ? x : slope * x),
  sigmoid: () => sigmoid,
  tanh: () => Math.tanh,
};

function activate(values, count, activation) {
  if (activation) for (let i = 0; i < count; i++) values[i] = activation(values[i]);
}

// weights: (outputs, inputs), row by row.
class Dense {
  constructor(inputs, outputs, weights, bias, activation = null) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.activation = activation;
    const blocks = Math.ceil(outputs / LANES);
    this.weights = new Numbers(blocks * inputs * LANES);
    for (let o = 0; o < outputs; o++) {
      const block = Math.floor(o / LANES) * inputs * LANES + (o % LANES);
      for (let i = 0; i < inputs; i++) this.weights[block + i * LANES] = weights[o * inputs + i];
    }
    this.bias = new Numbers(blocks * LANES);
    this.bias.set(bias);
    this.out = new Numbers(blocks * LANES);
  }

  run(x) {
    const block = this.inputs * LANES;
    for (let to = 0, at = 0; to < this.out.length; to += LANES, at += block) {
      multiply(x, 0, 0, 1, this.inputs, this.weights, at, 0, this.bias, this.out, to);
    }
    activate(this.out, this.outputs, this.activation);
    return this.out;
  }
}

// A transposed convolution as an ordinary one. With stride s, the s x s pixels that come of one
// place are s * s * channels outputs of the same window of inputs. Feature maps are (rows, columns,
// channels), weights (kernel, kernel, channels in, channels out).
class Transposed {
  constructor([height, width, inputs], facts, weights, bias, activation = null) {
    const { kernel, stride, padding, shape } = facts;
    Object.assign(this, { height, width, inputs, stride, padding, activation });
    [this.outHeight, this.outWidth, this.channels] = shape;
    this.taps = Math.ceil(kernel / stride);
    const outputs = stride * stride * this.channels;
    const blocks = Math.ceil(outputs / LANES);
    this.row = this.taps * inputs * LANES;
    this.weights = new Numbers(blocks * this.taps * this.row);
    this.bias = new Numbers(blocks * LANES);
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
    this.pixels = new Numbers(blocks * LANES);
    this.out = new Numbers(this.outHeight * this.outWidth * this.channels);
  }

  run(x) {
    const { stride, padding } = this;
    const downTo = Math.floor((this.outHeight - 1 + padding) / stride);
    const rightTo = Math.floor((this.outWidth - 1 + padding) / stride);
    for (let y = Math.floor(padding / stride); y <= downTo; y++) {
      for (let column = Math.floor(padding / stride); column <= rightTo; column++) {
        this.window(x, y, column);
        activate(this.pixels, this.outputs, this.activation);
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
