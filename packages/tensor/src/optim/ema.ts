import { planAverage } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import type { StateDict } from '../io/state-dict.js';
import { type Module, exportDict } from '../nn/module.js';
import type { Parameter } from '../nn/parameter.js';
import type { Tensor } from '../tensor.js';
import type { Block } from './flat.js';
import type { Optimizer } from './optimizer.js';

/**
 * An exponential moving average of the weights that an optimizer trains: `average += (1 − decay)·(value − average)`
 * after every step. It starts as a copy of the weights, and the decay grows as `(1 + n)/(10 + n)` up to its value,
 * so that the start is soon forgotten.
 */
export class EMA {
  readonly decay: number;
  /** Updates so far. */
  updates = 0;
  readonly #averages: readonly { block: Block; average: Tensor }[];
  readonly #parts = new Map<Parameter, Tensor>();

  /** @throws PaellaError `argument` for a decay outside of [0,1) */
  constructor(optimizer: Optimizer<{ lr: number }>, { decay = 0.999 }: { decay?: number } = {}) {
    if (!(decay >= 0 && decay < 1))
      throw new PaellaError('argument', `EMA: decay must be in [0,1), got ${decay}`);
    this.decay = decay;
    this.#averages = optimizer.groups.flatMap(({ blocks }) =>
      blocks.map((block) => {
        const average = block.value.device.empty([block.size]).keep();
        average.assign(block.value);
        for (const { parameter, start, tensor } of block.members) {
          if (parameter) this.#parts.set(parameter, average.device.part(average, start, tensor.shape).keep());
        }
        return { block, average };
      }),
    );
  }

  /** One launch a block. */
  update(): void {
    this.updates++;
    const decay = Math.min(this.decay, this.updates / (9 + this.updates));
    this.#run(1 - decay);
  }

  /** Runs `fn` with the averages in the weights' place. */
  async use<T>(fn: () => Promise<T>): Promise<T> {
    this.#run(null);
    try {
      return await fn();
    } finally {
      this.#run(null);
    }
  }

  /** The averages under the module's keys; entries that the optimizer does not train are the module's own. */
  stateDict(module: Module): StateDict {
    return exportDict(module.namedParameters(), (parameter) => {
      const part = this.#parts.get(parameter);
      return part ? parameter.export(part) : parameter.save();
    });
  }

  /** Goes on from saved averages; keys that the optimizer does not train are passed over. */
  async loadStateDict(module: Module, state: StateDict): Promise<void> {
    for (const [key, parameter] of module.namedParameters()) {
      const part = this.#parts.get(parameter);
      if (!part) continue;
      const loaded = parameter.import((await state.get(key)).data as Float32Array);
      part.assign(loaded);
      loaded.dispose();
    }
  }

  dispose(): void {
    for (const part of this.#parts.values()) part.dispose();
    for (const { average } of this.#averages) average.dispose();
  }

  #run(rate: number | null): void {
    for (const { block, average } of this.#averages) {
      const { device } = average;
      device.run(planAverage(block.size, rate, device.capabilities), [average, block.value]);
      if (rate === null) for (const { tensor } of block.members) tensor.overwritten();
    }
  }
}
