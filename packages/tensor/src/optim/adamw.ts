import { type FlatRange, planAdamW } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import type { Block, Trainable } from './flat.js';
import { Optimizer, type ParamGroup } from './optimizer.js';

export interface AdamWOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  /** Decoupled from the gradient: every step shrinks the weights by lr · weightDecay. */
  weightDecay: number;
}

/** AdamW (arXiv 1711.05101), with PyTorch's defaults and order of operations. */
export class AdamW extends Optimizer<AdamWOptions> {
  protected override readonly stateNames = ['exp_avg', 'exp_avg_sq'];

  /**
   * @param params tensors, parameters (`module.parameters()`), named ones (`module.namedParameters()`), or groups
   * @throws PaellaError `argument` for an option out of range
   */
  constructor(
    params: readonly Trainable[] | readonly ParamGroup<AdamWOptions>[],
    { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01 }: Partial<AdamWOptions> = {},
  ) {
    super(params, { lr, betas, eps, weightDecay });
    for (const { options } of this.groups) {
      const { lr: rate, betas: both, eps: least, weightDecay: decay } = options;
      const valid = rate >= 0 && both.every((beta) => beta >= 0 && beta < 1) && least > 0 && decay >= 0;
      if (!valid) {
        throw new PaellaError('argument', `AdamW: an option is out of range: ${JSON.stringify(options)}`, {
          fix: 'lr and weightDecay are at least 0, eps is above 0, betas are in [0,1).',
        });
      }
    }
  }

  protected override update(
    block: Block,
    range: FlatRange,
    options: AdamWOptions,
    step: number,
    norm: Tensor | null,
  ): void {
    const { device } = block.value;
    const [m, v] = this.stateNames.map((name) => this.state(block, name));
    const plan = planAdamW(range, { ...options, step, guarded: norm !== null }, device.capabilities);
    device.run(plan, [block.value, block.gradient, m, v, norm]);
  }
}
