/** Text encoders of training runs: frozen ones, and one that is trained along. */
import { type Device, PaellaError, type Rng, type Tensor, nn, noGrad, saveSafetensors } from '@paella/tensor';
import { join } from 'node:path';
import {
  ByT5Encoder,
  type ConditionInputs,
  type ModelCard,
  WordVectorEncoder,
  openByT5Folder,
  openModelFolder,
} from 'paella';
import { writeResult } from '../files.js';
import type { PaellaRunConfig } from '../run/config.js';

export interface TrainedText {
  /** What the U-Net is told about a batch. */
  encode(captions: readonly string[]): ConditionInputs;
  /** The encoder, if it learns too. */
  readonly module: nn.Module | null;
  /** Width of its vectors. */
  readonly width: number;
  /** Puts the encoder's files into a model folder, and says what they are. */
  export(folder: string): Promise<ModelCard['text_encoder']>;
}

/** @throws PaellaError `not-found` or `format` if a frozen encoder cannot be loaded */
export async function openText(
  config: PaellaRunConfig['text'],
  context: { device: Device; rng: Rng },
): Promise<TrainedText> {
  if (config.kind === 'word-vectors') return openWordVectors(config.model, context.device);
  if (config.kind === 'byt5') return openByT5(config.path, config.max_length, context.device);
  const encoder = new ByT5Encoder(config.config, context);
  initialise(encoder, context.rng);
  return byt5Text(encoder, config.max_length, true);
}

async function openWordVectors(model: string, device: Device): Promise<TrainedText> {
  const folder = await openModelFolder(model);
  const spec = folder.card.text_encoder;
  if (spec.kind !== 'word-vectors') {
    throw new PaellaError('argument', `the model ${model} has no word vectors`, { fix: "Use 'default'." });
  }
  const vocabulary = await folder.text(spec.vocabulary);
  const state = await folder.checkpoint(spec.weights);
  const encoder = await WordVectorEncoder.load(device, vocabulary, state, { maxWords: spec.max_words });
  return {
    encode: (captions) => encoder.encodeBatch(captions),
    module: null,
    width: encoder.dim,
    async export(to) {
      writeResult(join(to, 'vocab.txt'), vocabulary);
      await saveSafetensors(join(to, 'words.safetensors'), state);
      return { ...spec, vocabulary: 'vocab.txt', weights: 'words.safetensors' };
    },
  };
}

async function openByT5(path: string, maxLength: number, device: Device): Promise<TrainedText> {
  const folder = await openByT5Folder(path);
  const encoder = new ByT5Encoder(folder.config, { device });
  const state = await folder.state();
  await encoder.loadStateDict(state);
  await state.close?.();
  encoder.requiresGrad_(false);
  return byt5Text(encoder, maxLength, false);
}

function byt5Text(encoder: ByT5Encoder, maxLength: number, learns: boolean): TrainedText {
  const encode = (captions: readonly string[]): { byt5: Tensor; byt5Lengths: number[] } =>
    encoder.encodeBatch(captions, { maxLength });
  return {
    encode: learns ? encode : (captions) => noGrad(() => encode(captions)),
    module: learns ? encoder : null,
    width: encoder.config.d_model,
    async export(to) {
      await saveSafetensors(join(to, 'text.safetensors'), encoder.stateDict());
      return { kind: 'byt5', weights: 'text.safetensors', config: encoder.config };
    },
  };
}

/** T5's initial weights (its Mesh TensorFlow code): scaled so that attention needs no scale of its own. */
function initialise(encoder: ByT5Encoder, rng: Rng): void {
  const { d_model, d_kv, d_ff, num_heads } = encoder.config;
  const deviations: [RegExp, number][] = [
    [/^shared/, 1],
    [/\.q\.weight$/, (d_model * d_kv) ** -0.5],
    [/\.[kv]\.weight$|\.wi_[01]\.weight$/, d_model ** -0.5],
    [/\.o\.weight$/, (num_heads * d_kv) ** -0.5],
    [/\.wo\.weight$/, d_ff ** -0.5],
    [/relative_attention_bias/, d_model ** -0.5],
  ];
  for (const [key, parameter] of encoder.namedParameters()) {
    const std = deviations.find(([pattern]) => pattern.test(key))?.[1];
    if (std !== undefined) nn.init.normal_(parameter, rng, std);
  }
}
