// Sums of products, many outputs at a time: all that takes the page's networks time.
//
// Weights are laid out so that the innermost loop reads memory in its order: for each block of
// `lanes` outputs, `lanes` weights for every input. Where the browser has WebAssembly with SIMD (all
// have since 2023) a function of 300 bytes, which is put together here, computes 16 outputs at a
// time in float32. Elsewhere, and at an address that ends in #plain, JavaScript computes 8.

"use strict";

let KERNEL, LANES;

// Chooses what computes. WebAssembly gets so many pages of 64 KiB for all rows: more later would take
// away those that it has handed out.
function prepare(pages) {
  KERNEL = (location.hash !== "#plain" && vectorKernel(pages)) || plainKernel();
  LANES = KERNEL.lanes;
}

// Returns a row of zeros that `multiply` can work on.
function zeros(count) {
  return KERNEL.zeros(count);
}

// Adds to `lanes` outputs, from `to` on, the products of `rows` runs of `length` inputs, the runs
// `step` apart in `x` and `skip` apart in `weights`.
function multiply(x, from, step, rows, length, weights, at, skip, bias, out, to) {
  KERNEL.multiply(x, from, step, rows, length, weights, at, skip, bias, out, to);
}

// Float64Array spares the processor a conversion at every step, as JavaScript computes in float64:
// faster here than Float32Array.
function plainKernel() {
  const lanes = 8;
  const multiply = (x, from, step, rows, length, weights, at, skip, bias, out, to) => {
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
        w += lanes;
      }
    }
    out[to] = a; out[to + 1] = b; out[to + 2] = c; out[to + 3] = d;
    out[to + 4] = e; out[to + 5] = f; out[to + 6] = g; out[to + 7] = h;
  };
  return { name: "JavaScript", lanes, multiply, zeros: (count) => new Float64Array(count) };
}

// Returns null where the browser has no SIMD in WebAssembly, or not as many pages.
function vectorKernel(pages) {
  let product, memory;
  try {
    memory = new WebAssembly.Memory({ initial: pages }); // what is not used is not taken
    const module = new WebAssembly.Module(productModule());
    ({ product } = new WebAssembly.Instance(module, { page: { memory } }).exports);
  } catch {
    return null;
  }
  let used = 0;
  const zeros = (count) => {
    const found = new Float32Array(memory.buffer, used, count);
    used += 16 * Math.ceil(count / 4);
    return found;
  };
  const multiply = (x, from, step, rows, length, weights, at, skip, bias, out, to) => {
    product(
      x.byteOffset + 4 * from, 4 * step, rows, 4 * length, weights.byteOffset + 4 * at, 4 * skip,
      bias.byteOffset + 4 * to, out.byteOffset + 4 * to,
    );
  };
  return { name: "WebAssembly", lanes: 16, multiply, zeros };
}

// Returns a WebAssembly module with `product`, which does what `multiply` above does with addresses
// in bytes.
function productModule() {
  const I32 = 0x7f, V128 = 0x7b, NOTHING = 0x40, END = 0x0b;
  const [x, step, rows, length, weights, skip, bias, out] = [0, 1, 2, 3, 4, 5, 6, 7];
  const sums = [8, 9, 10, 11], value = 12;
  const input = 13, weight = 14, last = 15;
  const unsigned = (n) => (n < 128 ? [n] : [(n % 128) + 128, ...unsigned(Math.floor(n / 128))]);
  const get = (local) => [0x20, local];
  const set = (local) => [0x21, local];
  const number = (n) => [0x41, ...(n < 64 ? [n] : [(n % 128) + 128, Math.floor(n / 128)])];
  const add = [0x6a], subtract = [0x6b], notBelow = [0x4f], notAboveZero = [...number(0), 0x4c];
  const vector = (code, ...more) => [0xfd, ...unsigned(code), ...more];
  const load = (offset) => vector(0x00, 0, offset);
  const store = (offset) => vector(0x0b, 0, offset);
  const loadOneToAll = vector(0x09, 0, 0);
  const addAll = vector(0xe4), multiplyAll = vector(0xe6);
  // a loop that ends where `condition` is met before a round
  const until = (condition, body) => [
    0x02, NOTHING, 0x03, NOTHING, ...condition, 0x0d, 1, ...body, 0x0c, 0, END, END,
  ];
  const advance = (local, by) => [...get(local), ...by, ...add, ...set(local)];
  const code = [
    ...sums.flatMap((sum, i) => [...get(bias), ...load(16 * i), ...set(sum)]),
    ...until([...get(rows), ...notAboveZero], [
      ...get(x), ...set(input),
      ...get(weights), ...set(weight),
      ...get(x), ...get(length), ...add, ...set(last),
      ...until([...get(input), ...get(last), ...notBelow], [
        ...get(input), ...loadOneToAll, ...set(value),
        ...sums.flatMap((sum, i) => [
          ...get(value), ...get(weight), ...load(16 * i), ...multiplyAll,
          ...get(sum), ...addAll, ...set(sum),
        ]),
        ...advance(input, number(4)),
        ...advance(weight, number(64)),
      ]),
      ...advance(x, get(step)),
      ...advance(weights, get(skip)),
      ...get(rows), ...number(1), ...subtract, ...set(rows),
    ]),
    ...sums.flatMap((sum, i) => [...get(out), ...get(sum), ...store(16 * i)]),
    END,
  ];
  const text = (word) => [word.length, ...[...word].map((letter) => letter.charCodeAt(0))];
  const body = [2, 5, V128, 3, I32, ...code]; // five vectors and three addresses beside the eight
  const section = (id, content) => [id, ...unsigned(content.length), ...content];
  return new Uint8Array([
    0, ...text("asm").slice(1), 1, 0, 0, 0,
    ...section(1, [1, 0x60, 8, ...Array(8).fill(I32), 0]),
    ...section(2, [1, ...text("page"), ...text("memory"), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("product"), 0, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ]);
}
