import type { Device, StateDict, nn } from '@paella/tensor';
import type { CLIP } from './clip/clip.js';
import type { ClipTokenizer } from './clip/tokenizer.js';
import type { ImageEncoder } from './image-encoder/image-encoder.js';
import type { SamplerSettings } from './presets.js';
import type { PriorModel } from './prior/prior-model.js';
import type { ByT5Encoder } from './text/byt5.js';
import type { WordVectorEncoder } from './text/word-vectors.js';
import type { Paella } from './unet/paella.js';
import type { VQModel } from './vqgan/vqmodel.js';

export type PartName =
  'unet' | 'vqgan' | 'text_encoder' | 'clip_text' | 'clip_image' | 'image_encoder' | 'prior';

/** One network of a model: how to build it, and where its weights are. */
export interface ModelPart<T extends nn.Module = nn.Module> {
  readonly name: PartName;
  build(device: Device): T;
  /** Opens the checkpoint; whoever asks closes it. */
  state(): Promise<StateDict>;
}

/** Everything a pipeline is made of, before anything of it is loaded. */
export interface Model {
  name: string;
  /** Width and height of its pictures, in pixels. */
  imageSize: readonly [number, number];
  /** The style that is added to a prompt that names none. */
  captions: { suffix: string; styles: readonly string[] };
  sampler: SamplerSettings;
  /** Heights and widths must be multiples of this many tokens, each of `factor`² pixels. */
  tokenMultiple: number;
  factor: number;
  /** Size of the codebook. */
  numLabels: number;
  /** Condition tokens that one CLIP vector becomes. */
  clipTokens: number;
  unet: ModelPart<Paella>;
  vqgan: ModelPart<VQModel>;
  text:
    | { kind: 'byt5'; part: ModelPart<ByT5Encoder> }
    | { kind: 'word-vectors'; open(device: Device): Promise<WordVectorEncoder> };
  /** CLIP's towers, and the prior that makes image vectors of text vectors. */
  clipText?: { part: ModelPart<CLIP>; tokenizer(): Promise<ClipTokenizer> };
  clipImage?: ModelPart<CLIP>;
  /** What looks at pictures in the place of CLIP's image tower. */
  imageEncoder?: ModelPart<ImageEncoder>;
  prior?: ModelPart<PriorModel>;
  /** Optional parts that were looked for and not found. */
  missing: readonly MissingPart[];
}

export interface MissingPart {
  file: string;
  /** What it is for. */
  purpose: string;
  /** Where it is published. */
  published: string;
}
