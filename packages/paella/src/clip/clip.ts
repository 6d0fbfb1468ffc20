import { PaellaError, type StateDict, type Tensor, nn, ops, scope } from '@paella/tensor';
import type { CLIPConfig, CLIPTextConfig, CLIPVisionConfig } from './config.js';
import { openClipNames } from './names.js';
import { Transformer } from './transformer.js';

/** The weights of an embedding that is added or multiplied as it is: small, and no matrix that f16 would serve. */
const vectors = (shape: readonly number[], context: nn.ModuleContext, std = 0.02): nn.Parameter => {
  const parameter = new nn.Parameter(context.device, shape);
  if (context.rng) nn.init.normal_(parameter, context.rng, std);
  return parameter;
};

/** The image tower: patches and a class token through a transformer; the class token's result is the picture's. */
class VisionTransformer extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly class_embedding: nn.Parameter;
  readonly positional_embedding: nn.Parameter;
  readonly ln_pre: nn.LayerNorm;
  readonly transformer: Transformer;
  readonly ln_post: nn.LayerNorm;
  readonly proj: nn.Parameter;

  constructor(config: CLIPVisionConfig, embedDim: number, context: nn.ModuleContext) {
    super(context);
    const { image_size, patch_size: patch, width, head_width, layers, mlp_ratio = 4 } = config;
    const positions = Math.floor(image_size / patch) ** 2 + 1;
    const std = width ** -0.5;
    this.conv1 = new nn.Conv2d(3, width, patch, context, { stride: patch, bias: false });
    this.class_embedding = vectors([width], context, std);
    this.positional_embedding = vectors([positions, width], context, std);
    this.ln_pre = new nn.LayerNorm(width, context);
    const options = { width, layers, heads: width / head_width, hidden: Math.round(width * mlp_ratio) };
    this.transformer = new Transformer(options, context);
    this.ln_post = new nn.LayerNorm(width, context);
    this.proj = vectors([width, embedDim], context, std);
  }

  /** `[B,H,W,3]` → `[B,embed_dim]` */
  forward(pixels: Tensor): Tensor {
    return scope(() => {
      const patches = this.conv1.forward(pixels);
      const [b, h, w, width] = patches.shape;
      const token = ops.expand(this.class_embedding.value, [b, 1, width]);
      const tokens = ops.cat([token, patches.reshape([b, h * w, width])], 1);
      const x = this.ln_pre.forward(tokens.add(this.positional_embedding.value));
      const first = this.transformer.forward(x).slice(1, 0, 1).reshape([b, width]);
      return this.ln_post.forward(first).matmul(this.proj.value);
    });
  }
}

/**
 * CLIP (arXiv 2103.00020): two towers that map texts and pictures to vectors of one space. Paella reads both kinds, not
 * normalised; the prior makes the second out of the first.
 *
 * State-dict keys are open_clip's. A tower whose configuration is `null` is not built, and its weights are never read.
 */
export class CLIP extends nn.Module {
  readonly config: CLIPConfig;
  readonly visual: VisionTransformer | null;
  readonly token_embedding: nn.Embedding | null = null;
  readonly positional_embedding: nn.Parameter | null = null;
  readonly transformer: Transformer | null = null;
  readonly ln_final: nn.LayerNorm | null = null;
  readonly text_projection: nn.Parameter | null = null;
  /** Of the loss that CLIP learned from; only a whole CLIP has it. */
  readonly logit_scale: nn.Parameter | null = null;

  /** @throws PaellaError `argument` if a width does not divide into its heads, or there is no tower */
  constructor(config: CLIPConfig, context: nn.ModuleContext) {
    super(context);
    checkConfig(config);
    this.config = config;
    const { embed_dim, text_cfg: text, vision_cfg: vision } = config;
    this.visual = vision && new VisionTransformer(vision, embed_dim, context);
    if (!text) return;
    const { context_length, vocab_size, width, heads, layers, mlp_ratio = 4 } = text;
    this.token_embedding = new nn.Embedding(vocab_size, width, context);
    this.positional_embedding = vectors([context_length, width], context, 0.01);
    const options = { width, layers, heads, hidden: Math.round(width * mlp_ratio) };
    this.transformer = new Transformer(options, context);
    this.ln_final = new nn.LayerNorm(width, context);
    this.text_projection = vectors([width, embed_dim], context, width ** -0.5);
    if (!vision) return;
    this.logit_scale = new nn.Parameter(context.device, []);
    if (context.rng) nn.init.constant_(this.logit_scale, Math.log(1 / 0.07));
  }

  /**
   * Vectors of texts: the result at each text's end, its largest id. What follows the end (padding) cannot reach it, since
   * no token attends to later ones, and is not computed.
   *
   * @param ids of the tokenizer, one array a text, of up to `context_length` numbers
   * @returns `[B,embed_dim]`, not normalised
   * @throws PaellaError `argument` without a text tower, or for a text that is empty or too long
   */
  encodeText(ids: readonly ArrayLike<number>[]): Tensor {
    const { token_embedding, positional_embedding, transformer, ln_final, text_projection } = this;
    const text = this.config.text_cfg;
    if (!text || !token_embedding || !positional_embedding || !transformer || !ln_final || !text_projection) {
      throw noTower('text');
    }
    const ends = ids.map((one) => endOf(one, text));
    const length = Math.max(...ends) + 1;
    return scope(() => {
      const b = ids.length;
      const rows = new Uint32Array(b * length);
      ids.forEach((one, n) => rows.set(Array.from(one).slice(0, length), n * length));
      const embedded = token_embedding.forward(this.device.tensor(rows, [b, length]));
      const x = embedded.add(positional_embedding.value.slice(0, 0, length));
      const hidden = transformer.forward(x, this.#causalBias(length)).reshape([b * length, text.width]);
      const at = Uint32Array.from(ends, (end, n) => n * length + end);
      // The norm is each row's own, so the ends are picked before it.
      const last = ops.embedding(this.device.tensor(at), hidden);
      return ln_final.forward(last).matmul(text_projection.value);
    });
  }

  /**
   * Vectors of pictures.
   *
   * @param pixels `[B,image_size,image_size,3]`, as {@link preprocessClip} makes them
   * @returns `[B,embed_dim]`, not normalised
   * @throws PaellaError `argument` without an image tower, `shape` for pictures of another size
   */
  encodeImage(pixels: Tensor): Tensor {
    const size = this.config.vision_cfg?.image_size;
    if (!this.visual) throw noTower('image');
    const [, height, width, channels] = pixels.shape;
    if (pixels.rank !== 4 || height !== size || width !== size || channels !== 3) {
      throw new PaellaError('shape', `CLIP looks at [B,${size},${size},3], got ${pixels.toString()}`, {
        fix: 'Make the pixels with preprocessClip.',
      });
    }
    return this.visual.forward(pixels);
  }

  /**
   * Loads the towers that were built out of a file with one or both. Files in Hugging Face's names serve as well.
   */
  override loadStateDict(
    state: StateDict,
    options?: Parameters<nn.Module['loadStateDict']>[1],
  ): Promise<{ missing: string[]; unexpected: string[] }> {
    const named = openClipNames(state);
    const isOurs = (key: string): boolean => {
      if (key === 'logit_scale') return this.logit_scale !== null;
      return (key.startsWith('visual.') ? this.visual : this.transformer) !== null;
    };
    return super.loadStateDict({ ...named, keys: () => named.keys().filter(isOurs) }, options);
  }

  /** A token attends to itself and those before it. */
  #causalBias(length: number): Tensor {
    const bias = Float32Array.from({ length: length * length }, (_, i) =>
      i % length > Math.floor(i / length) ? -3e38 : 0,
    );
    return this.device.tensor(bias, [1, 1, length, length]);
  }
}

/** Where a text ends: at the first of its largest ids, which is that of the end token. */
function endOf(ids: ArrayLike<number>, { context_length }: CLIPTextConfig): number {
  if (ids.length === 0 || ids.length > context_length) {
    throw new PaellaError('argument', `CLIP reads 1 to ${context_length} tokens, got ${ids.length}`, {
      fix: 'Make the ids with clipTokenizer, which cuts long texts.',
    });
  }
  let end = 0;
  for (let i = 1; i < ids.length; i++) if (ids[i] > ids[end]) end = i;
  return end;
}

const noTower = (kind: 'text' | 'image'): PaellaError =>
  new PaellaError('argument', `this CLIP was built without its ${kind} tower`, {
    fix: `Give it a configuration whose ${kind === 'text' ? 'text_cfg' : 'vision_cfg'} is not null.`,
  });

function checkConfig({ text_cfg: text, vision_cfg: vision }: CLIPConfig): void {
  const refuse = (message: string): never => {
    throw new PaellaError('argument', `CLIP's configuration: ${message}`);
  };
  if (!text && !vision) refuse('text_cfg and vision_cfg are both null');
  if (text && text.width % text.heads !== 0) {
    refuse(`text_cfg divides ${text.width} channels among ${text.heads} heads`);
  }
  if (vision && vision.width % vision.head_width !== 0) {
    refuse(`vision_cfg divides ${vision.width} channels into heads of ${vision.head_width}`);
  }
}
