import { type Device, PaellaError, type StateDict, loadStateDict, type nn } from '@paella/tensor';
import { ImageEncoder, type ImageEncoderConfig } from './image-encoder/image-encoder.js';
import { type IdentifiedModel, completeConfig, completePaellaConfig } from './inspect.js';
import { zeros } from './memory-plan.js';
import type { Model, ModelPart } from './model.js';
import { type PriorConfig, PriorModel } from './prior/prior-model.js';
import { BYT5_XL, type ByT5Config, ByT5Encoder } from './text/byt5.js';
import type { PaellaConfig } from './unet/config.js';
import { Paella, tokenMultiple } from './unet/paella.js';
import { VQModel, type VQModelConfig, pixelsPerToken } from './vqgan/vqmodel.js';

/** Makes parts of what a file holds, if they fit those of a model. */
export class Replacement {
  /** What errors call the file. */
  readonly file: string;
  readonly #model: Model;
  readonly #content: Blob;
  readonly #meta: Device;
  /** The configuration of the model's own U-Net, which all other parts have to fit. */
  readonly #own: PaellaConfig;

  constructor(model: Model, content: Blob, meta: Device) {
    this.file = content instanceof File ? content.name : 'the file';
    this.#model = model;
    this.#content = content;
    this.#meta = meta;
    this.#own = model.unet.build(meta).config;
  }

  /** What changes in the model. */
  async of({ kind, config }: IdentifiedModel): Promise<Partial<Model>> {
    switch (kind) {
      case 'paella':
        return this.#unet(completePaellaConfig(this.file, config, this.#own));
      case 'vqgan': {
        const { scale_factor } = this.#model.vqgan.build(this.#meta).config;
        return this.#vqgan(completeConfig<VQModelConfig>(this.file, { ...config, scale_factor }));
      }
      case 'byt5': {
        const { text } = this.#model;
        const own = text.kind === 'byt5' ? text.part.build(this.#meta).config : BYT5_XL;
        const { relative_attention_max_distance, layer_norm_epsilon } = own;
        const untold = { relative_attention_max_distance, layer_norm_epsilon };
        return this.#byt5(completeConfig<ByT5Config>(this.file, { ...config, ...untold }));
      }
      case 'image-encoder':
        return this.#imageEncoder(completeConfig<ImageEncoderConfig>(this.file, config));
      case 'prior':
        return this.#prior(completeConfig<PriorConfig>(this.file, config));
      case 'clip':
        throw new PaellaError('argument', `${this.file} is a CLIP, which is more than one file`, {
          fix: 'Put it into a folder with the released model, and open that',
        });
      case 'unknown':
      default:
        throw new PaellaError('format', `${this.file} holds no network that Paella knows`, {
          fix: 'Choose the .pt or .safetensors file of a U-Net, a VQGAN, a ByT5, an image encoder or a prior',
        });
    }
  }

  async #unet(config: PaellaConfig): Promise<Partial<Model>> {
    const { vqgan, factor, clipText, clipImage, imageEncoder } = this.#model;
    const { codebook_size: tokens } = vqgan.build(this.#meta).config;
    const { byt5_embd, clip_embd } = this.#own;
    if (config.num_labels !== tokens) {
      throw this.#misfit(`a U-Net for ${config.num_labels} tokens`, `VQGAN has ${tokens}`);
    }
    if (config.byt5_embd !== byt5_embd) {
      const reads = `a U-Net that reads texts as vectors of ${config.byt5_embd} numbers`;
      throw this.#misfit(reads, `text encoder gives ${byt5_embd}`);
    }
    if ((clipText || clipImage || imageEncoder) && config.clip_embd !== clip_embd) {
      const reads = `a U-Net that reads pictures as vectors of ${config.clip_embd} numbers`;
      throw this.#misfit(reads, `image encoder gives ${clip_embd}`);
    }
    const multiple = tokenMultiple(config);
    return {
      unet: await this.#part('unet', (device) => new Paella(config, { device })),
      numLabels: config.num_labels,
      clipTokens: config.clip_seq_len,
      tokenMultiple: multiple,
      imageSize: this.#sizes((side) => Math.ceil(side / (multiple * factor)) * multiple * factor),
    };
  }

  async #vqgan(config: VQModelConfig): Promise<Partial<Model>> {
    const { numLabels, factor: old } = this.#model;
    if (config.codebook_size !== numLabels) {
      throw this.#misfit(`a VQGAN of ${config.codebook_size} tokens`, `U-Net draws with ${numLabels}`);
    }
    const factor = pixelsPerToken(config);
    return {
      vqgan: await this.#part('vqgan', (device) => new VQModel(config, { device })),
      factor,
      imageSize: this.#sizes((side) => (side / old) * factor),
    };
  }

  async #byt5(config: ByT5Config): Promise<Partial<Model>> {
    const { byt5_embd } = this.#own;
    if (config.d_model !== byt5_embd) {
      throw this.#misfit(
        `a ByT5 that gives vectors of ${config.d_model} numbers`,
        `U-Net reads ${byt5_embd}`,
      );
    }
    const part = await this.#part('text_encoder', (device) => new ByT5Encoder(config, { device }));
    return { text: { kind: 'byt5', part } };
  }

  async #imageEncoder(config: ImageEncoderConfig): Promise<Partial<Model>> {
    const { clip_embd } = this.#own;
    if (config.embed_dim !== clip_embd) {
      const gives = `an image encoder that gives vectors of ${config.embed_dim} numbers`;
      throw this.#misfit(gives, `U-Net reads ${clip_embd}`);
    }
    const imageEncoder = await this.#part('image_encoder', (device) => new ImageEncoder(config, { device }));
    return { imageEncoder, clipImage: undefined };
  }

  async #prior(config: PriorConfig): Promise<Partial<Model>> {
    const { clipText, missing } = this.#model;
    const { clip_embd } = this.#own;
    if (!clipText) throw this.#misfit('a prior, which reads what CLIP says', 'CLIP is missing');
    if (config.clip_r !== clip_embd) {
      throw this.#misfit(`a prior for vectors of ${config.clip_r} numbers`, `U-Net reads ${clip_embd}`);
    }
    const prior = await this.#part('prior', (device) => new PriorModel(config, { device }));
    return { prior, missing: missing.filter(({ file }) => !file.startsWith('prior')) };
  }

  #sizes(change: (side: number) => number): [number, number] {
    const [width, height] = this.#model.imageSize;
    return [change(width), change(height)];
  }

  #misfit(what: string, but: string): PaellaError {
    return new PaellaError('argument', `${this.file} is ${what}, but the model's ${but}`, {
      fix: 'Networks fit if they were trained together: open all of them, as a folder with its model.json',
    });
  }

  /** A part of the file's weights, once they are known to fill it. */
  async #part<T extends nn.Module>(
    name: ModelPart['name'],
    build: ModelPart<T>['build'],
  ): Promise<ModelPart<T>> {
    const part = { name, build, state: () => loadStateDict(this.#content) };
    const state = await part.state();
    const withoutValues: StateDict = {
      ...state,
      get: async (key) => {
        const info = state.info(key);
        return { ...info, data: zeros(info.shape.reduce((a, b) => a * b, 1)) };
      },
    };
    try {
      await build(this.#meta).loadStateDict(withoutValues);
    } finally {
      await state.close?.();
    }
    return part;
  }
}
