import { type Device, Tensor, ops, scope } from '@paella/tensor';

/**
 * Sinusoidal embedding of the noise level, as U-Net and prior have it: `sin(10000·r·f)`, then `cos(10000·r·f)`, with
 * `f` falling from 1 to 1/10000, then a zero if the width is odd.
 */
export class NoiseLevelEmbedding {
  readonly #device: Device;
  readonly #width: number;
  #frequencies: Tensor | null = null;

  constructor(device: Device, width: number) {
    this.#device = device;
    this.#width = width;
  }

  /**
   * @param r `[B]`, from 0 (clean) to 1 (all noise)
   * @returns `[B,width]`
   */
  forward(r: ArrayLike<number> | Tensor): Tensor {
    return scope(() => {
      const levels = r instanceof Tensor ? r : this.#device.tensor(Float32Array.from(r));
      return ops.timestepEmbedding(levels, this.#table(), { width: this.#width, scale: 10000 });
    });
  }

  /** Made on the host, once, in single precision as upstream: errors in it would grow 10,000-fold. */
  #table(): Tensor {
    if (!this.#frequencies) {
      const half = Math.floor(this.#width / 2);
      const step = Math.fround(Math.log(10000) / (half - 1));
      const values = Float32Array.from({ length: half }, (_, i) => Math.exp(Math.fround(i * -step)));
      this.#frequencies = this.#device.tensor(values).keep();
    }
    return this.#frequencies;
  }

  dispose(): void {
    this.#frequencies?.dispose();
    this.#frequencies = null;
  }
}
