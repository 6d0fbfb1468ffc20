import { type FlatRange, planSgd } from '@paella/kernels';
import { PaellaError } from '../errors.js';
import type { Block, Trainable } from './flat.js';
import { Optimizer, type ParamGroup } from './optimizer.js';

export interface SGDOptions {
  lr: number;
  momentum: number;
  /** Added to the gradient: weightDecay · value. */
  weightDecay: number;
  nesterov: boolean;
}

/** Stochastic gradient descent as PyTorch's, with momentum (without dampening). */
export class SGD extends Optimizer<SGDOptions> {
  protected override readonly stateNames = ['momentum_buffer'];

  /**
   * @param params tensors, parameters (`module.parameters()`), named ones (`module.namedParameters()`), or groups
   * @throws PaellaError `argument` for an option out of range
   */
  constructor(
    params: readonly Trainable[] | readonly ParamGroup<SGDOptions>[],
    { lr = 1e-3, momentum = 0, weightDecay = 0, nesterov = false }: Partial<SGDOptions> = {},
  ) {
    super(params, { lr, momentum, weightDecay, nesterov });
    for (const { options } of this.groups) {
      const valid = options.lr >= 0 && options.momentum >= 0 && options.weightDecay >= 0;
      if (!valid || (options.nesterov && options.momentum === 0)) {
        throw new PaellaError('argument', `SGD: an option is out of range: ${JSON.stringify(options)}`, {
          fix: 'lr, momentum and weightDecay are at least 0; nesterov needs a momentum above 0.',
        });
      }
    }
  }

  protected override update(block: Block, range: FlatRange, options: SGDOptions): void {
    const { device } = block.value;
    const velocity = this.state(block, 'momentum_buffer');
    device.run(planSgd(range, options, device.capabilities), [block.value, block.gradient, velocity]);
  }
}
