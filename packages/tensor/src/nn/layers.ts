import type { Activation } from '@paella/kernels';
import { conv2d, convTranspose2d } from '../ops/conv.js';
import { PaellaError } from '../errors.js';
import { dropout } from '../ops/dropout.js';
import { embedding, embeddingOfParts } from '../ops/embedding.js';
import { linear } from '../ops/matmul.js';
import { batchNorm, batchNormTraining } from '../ops/channel-norm.js';
import { layerNorm, rmsNorm } from '../ops/norm.js';
import { globalResponseNorm } from '../ops/response-norm.js';
import type { Tensor } from '../tensor.js';
import { noGrad } from '../autograd/mode.js';
import { scope } from '../scope.js';
import type { Rng } from '../random/rng.js';
import * as init from './init.js';
import { Module, type ModuleContext } from './module.js';
import { Parameter } from './parameter.js';

/** `x·Wᵀ + b`. Initialised as PyTorch does. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(inFeatures: number, outFeatures: number, context: ModuleContext, { bias = true } = {}) {
    super(context);
    this.weight = new Parameter(context.device, [outFeatures, inFeatures], { layout: 'linear' });
    this.bias = bias ? new Parameter(context.device, [outFeatures]) : null;
    if (context.rng) init.torchDefault_(this.weight, this.bias, context.rng);
  }

  /** `[…,in]` → `[…,out]`, with the activation and then the residual fused in. */
  forward(x: Tensor, fused: { activation?: Activation; residual?: Tensor } = {}): Tensor {
    return linear(x, this.weight.value, { bias: this.bias?.value, ...fused });
  }
}

export interface ConvOptions {
  stride?: number;
  padding?: number;
  groups?: number;
  bias?: boolean;
  paddingMode?: 'zeros' | 'replicate';
}

/** A convolution over NHWC images. */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly #options: ConvOptions;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    context: ModuleContext,
    options: ConvOptions = {},
  ) {
    super(context);
    const { groups = 1, bias = true } = options;
    const shape = [outChannels, inChannels / groups, kernel, kernel];
    this.weight = new Parameter(context.device, shape, { layout: 'conv' });
    this.bias = bias ? new Parameter(context.device, [outChannels]) : null;
    this.#options = options;
    if (context.rng) init.torchDefault_(this.weight, this.bias, context.rng);
  }

  /** `[B,H,W,in]` → `[B,H',W',out]` */
  forward(x: Tensor): Tensor {
    const { stride, padding, groups, paddingMode } = this.#options;
    return conv2d(x, this.weight.value, { bias: this.bias?.value, stride, padding, groups, paddingMode });
  }
}

/** A transposed convolution over NHWC images. */
export class ConvTranspose2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #options: { stride: number; padding?: number };

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    context: ModuleContext,
    options: { stride: number; padding?: number },
  ) {
    super(context);
    const shape = [inChannels, outChannels, kernel, kernel];
    this.weight = new Parameter(context.device, shape, { layout: 'convTranspose' });
    this.bias = new Parameter(context.device, [outChannels]);
    this.#options = options;
    if (context.rng) init.torchDefault_(this.weight, this.bias, context.rng);
  }

  /** `[B,H,W,in]` → `[B,H·stride,W·stride,out]` for the kernels Paella uses */
  forward(x: Tensor): Tensor {
    return convTranspose2d(x, this.weight.value, { bias: this.bias.value, ...this.#options });
  }
}

/** A table of vectors, which may be larger than a buffer. Initialised from N(0, 1), as PyTorch does. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor(count: number, dim: number, context: ModuleContext) {
    super(context);
    this.weight = new Parameter(context.device, [count, dim], { splits: true });
    if (context.rng) init.normal_(this.weight, context.rng, 1);
  }

  /** u32 `[…]` → `[…,dim]` */
  forward(indices: Tensor): Tensor {
    const { parts } = this.weight;
    return parts.length === 1 ? embedding(indices, parts[0]) : embeddingOfParts(indices, parts);
  }
}

/** Layer norm with weight and bias over the last dimension. */
export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly #eps: number;

  constructor(dim: number, context: ModuleContext, { eps = 1e-5 } = {}) {
    super(context);
    this.weight = new Parameter(context.device, [dim]);
    this.bias = new Parameter(context.device, [dim]);
    this.#eps = eps;
    if (context.rng) {
      init.constant_(this.weight, 1);
      init.constant_(this.bias, 0);
    }
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, { weight: this.weight.value, bias: this.bias.value, eps: this.#eps });
  }
}

/** Root-mean-square norm without bias, as in T5. */
export class RMSNorm extends Module {
  readonly weight: Parameter;
  readonly #eps: number;

  constructor(dim: number, context: ModuleContext, { eps = 1e-6 } = {}) {
    super(context);
    this.weight = new Parameter(context.device, [dim]);
    this.#eps = eps;
    if (context.rng) init.constant_(this.weight, 1);
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.value, this.#eps);
  }
}

/** How much of a batch's statistics the running ones take over, PyTorch's default. */
const MOMENTUM = 0.1;

/**
 * Batch norm over the last dimension: with the running statistics, or in training mode with the batch's own, which
 * move the running ones.
 */
export class BatchNorm2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly running_mean: Parameter;
  readonly running_var: Parameter;
  readonly num_batches_tracked: Parameter;

  constructor(channels: number, context: ModuleContext) {
    super(context);
    const { device } = context;
    this.weight = new Parameter(device, [channels]);
    this.bias = new Parameter(device, [channels]);
    this.running_mean = new Parameter(device, [channels], { isBuffer: true });
    this.running_var = new Parameter(device, [channels], { isBuffer: true });
    this.num_batches_tracked = new Parameter(device, [], { isBuffer: true, fileDType: 'i64' });
    if (context.rng) {
      for (const one of [this.weight, this.running_var]) init.constant_(one, 1);
      for (const zero of [this.bias, this.running_mean, this.num_batches_tracked]) init.constant_(zero, 0);
    }
  }

  forward(x: Tensor): Tensor {
    const { weight, bias } = { weight: this.weight.value, bias: this.bias.value };
    if (this.training) {
      const { out, mean, variance } = batchNormTraining(x, { weight, bias });
      this.#track(mean, variance, out.size / mean.size);
      return out;
    }
    return batchNorm(x, {
      mean: this.running_mean.value,
      variance: this.running_var.value,
      weight,
      bias,
    });
  }

  /** The running variance is that of a sample, the batch's own that of a population. */
  #track(mean: Tensor, variance: Tensor, count: number): void {
    const moved = (running: Parameter, value: Tensor, factor: number): void => {
      running.value = running.value.mul(1 - MOMENTUM).add(value.mul(MOMENTUM * factor));
    };
    noGrad(() =>
      scope(() => {
        moved(this.running_mean, mean, 1);
        moved(this.running_var, variance, count / Math.max(1, count - 1));
        const batches = this.num_batches_tracked;
        batches.value = batches.value.add(1);
      }),
    );
  }
}

/** Global response norm of ConvNeXt V2 (arXiv 2301.00808), over NHWC. Starts as the identity. */
export class GlobalResponseNorm extends Module {
  readonly gamma: Parameter;
  readonly beta: Parameter;

  constructor(channels: number, context: ModuleContext) {
    super(context);
    this.gamma = new Parameter(context.device, [1, 1, 1, channels]);
    this.beta = new Parameter(context.device, [1, 1, 1, channels]);
    if (context.rng) {
      init.constant_(this.gamma, 0);
      init.constant_(this.beta, 0);
    }
  }

  forward(x: Tensor): Tensor {
    return globalResponseNorm(x, this.gamma.value, this.beta.value);
  }
}

/**
 * Dropout in training mode, nothing in evaluation mode. Its random numbers come from `rng`, which has no default: a run
 * that is to be repeated or resumed owns its generators.
 */
export class Dropout extends Module {
  readonly p: number;
  rng: Rng | null = null;

  constructor(p: number, context: ModuleContext) {
    super(context);
    this.p = p;
  }

  /** @throws PaellaError `argument` in training mode without a generator */
  forward(x: Tensor): Tensor {
    const active = this.draw();
    return active ? dropout(x, active.p, active.rng) : x;
  }

  /** What an op that drops by itself needs; null where nothing is dropped. Throws as {@link forward}. */
  draw(): { p: number; rng: Rng } | null {
    if (!this.training || this.p === 0) return null;
    if (!this.rng) {
      throw new PaellaError('argument', `dropout of ${this.p} in training mode needs a generator`, {
        fix: 'Set the rng of the module (for Paella: dropout.rng = new Rng(seed)), or call eval().',
      });
    }
    return { p: this.p, rng: this.rng };
  }
}
