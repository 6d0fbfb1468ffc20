/** What a {@link GradScaler} saves. */
export interface GradScalerState {
  scale: number;
  goodSteps: number;
}

/**
 * Dynamic loss scaling for mixed precision (arXiv 1710.03740): the loss is multiplied by a scale before backward, so
 * that small gradients survive f16, and gradients are divided by it before the step. A step whose gradients are not
 * finite is skipped and the scale halved; after `growthInterval` good steps it is doubled.
 */
export class GradScaler {
  scale: number;
  #goodSteps = 0;
  readonly #growthInterval: number;

  constructor({ initialScale = 2 ** 16, growthInterval = 2000 } = {}) {
    this.scale = initialScale;
    this.#growthInterval = growthInterval;
  }

  /**
   * Says how a backward pass with this scale went.
   *
   * @param gradNorm norm of the gradients
   * @returns whether to take the step
   */
  update(gradNorm: number): boolean {
    if (!Number.isFinite(gradNorm)) {
      this.scale = Math.max(1, this.scale / 2);
      this.#goodSteps = 0;
      return false;
    }
    if (++this.#goodSteps >= this.#growthInterval) {
      this.scale = Math.min(2 ** 24, this.scale * 2);
      this.#goodSteps = 0;
    }
    return true;
  }

  state(): GradScalerState {
    return { scale: this.scale, goodSteps: this.#goodSteps };
  }

  load({ scale, goodSteps }: GradScalerState): void {
    this.scale = scale;
    this.#goodSteps = goodSteps;
  }
}
