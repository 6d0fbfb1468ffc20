import type { Device, nn } from '@paella/tensor';
import type { ModelPart, PartName } from './model.js';

export interface LoadProgress {
  part: PartName;
  /** Tensors loaded, of how many. */
  done: number;
  total: number;
}

export interface ResidentOptions {
  dtype?: 'f32' | 'f16';
  /** Keep one large network on the device at a time: loading one frees the others. */
  lowMemory?: boolean;
  onProgress?: (progress: LoadProgress) => void;
}

/** The networks of a model that are on the device. Each is loaded when it is first asked for. */
export class Residents {
  readonly #device: Device;
  readonly #options: ResidentOptions;
  readonly #modules = new Map<ModelPart, nn.Module>();
  /** Loads run one after the other, so that two callers never hold a network twice. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(device: Device, options: ResidentOptions) {
    this.#device = device;
    this.#options = options;
  }

  /** The network, loaded, requiring no gradients. In low memory, it lasts until another one is asked for. */
  get<T extends nn.Module>(part: ModelPart<T>): Promise<T> {
    const load = this.#last.then(() => this.loaded(part) ?? this.#load(part));
    this.#last = load.catch(() => {});
    return load;
  }

  /** The network if it is on the device now. */
  loaded<T extends nn.Module>(part: ModelPart<T>): T | undefined {
    return this.#modules.get(part) as T | undefined;
  }

  async #load<T extends nn.Module>(part: ModelPart<T>): Promise<T> {
    const { dtype = 'f32', lowMemory, onProgress } = this.#options;
    if (lowMemory) await this.#makeRoom(part);
    const module = part.build(this.#device).to({ dtype });
    const state = await part.state();
    try {
      await module.loadStateDict(state, {
        onProgress: (done, total) => onProgress?.({ part: part.name, done, total }),
      });
    } catch (error) {
      module.dispose();
      throw error;
    } finally {
      await state.close?.();
    }
    // What its weights passed through on their way, up to a tenth of a large network, fits no activation.
    this.#device.trim();
    module.requiresGrad_(false);
    this.#modules.set(part, module);
    return module;
  }

  /** Frees what a large network would stand beside. The VQGAN is small, and alternates with the U-Net. */
  async #makeRoom(coming: ModelPart): Promise<void> {
    if (coming.name === 'vqgan') return;
    await this.#device.synchronize();
    for (const [part, module] of this.#modules) {
      if (part.name === 'vqgan') continue;
      module.dispose();
      this.#modules.delete(part);
    }
    this.#device.trim();
  }

  dispose(): void {
    for (const module of this.#modules.values()) module.dispose();
    this.#modules.clear();
  }
}
