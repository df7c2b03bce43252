// A memory as a world: wm/dream/environment.py in JavaScript.

"use strict";

const END = { chance: 0.5, steps: 10 }; // a dream has ended when the chance was higher for so long
const LONGEST = 1000; // steps, as in the game

class Dream {
  constructor(models) {
    this.models = models;
    this.z = zeros(models.latent);
  }

  reset(start) {
    const { z, h, c } = this.models.starts[start];
    this.z.set(z);
    this.models.memory.begin(h, c);
    Object.assign(this, { steps: 0, reward: 0, total: 0, end: 0, near: 0, ended: false });
  }

  // What the controller of this dream would do now.
  act() {
    return this.models.controller.act(this.z, this.models.memory.h);
  }

  step(action, temperature, uniforms, normals) {
    const { reward, end } = this.models.memory.step(this.z, action);
    this.models.memory.sample(temperature, uniforms, normals, this.z);
    this.reward = reward;
    this.total += reward;
    this.end = end;
    this.steps += 1;
    this.near = end > END.chance ? this.near + 1 : 0;
    this.ended = this.near >= END.steps || this.steps >= LONGEST;
  }

  // The frame, 64 x 64 x 3 values in [0, 1], or null where the page does not know the decoder.
  frame() {
    return this.models.decoder && this.models.decoder.run(this.z);
  }
}

// The random numbers of a step: the same for all dreams.
function noise(size) {
  const uniforms = Array.from({ length: size }, Math.random);
  const normals = uniforms.map(() => {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return radius * Math.cos(2 * Math.PI * Math.random());
  });
  return { uniforms, normals };
}
