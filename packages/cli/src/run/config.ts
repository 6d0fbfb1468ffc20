/** Configurations of training runs: their schemas, and how a file becomes one. */
import { PaellaError } from '@paella/tensor';
import { closest, distance } from 'fastest-levenshtein';
import JSON5 from 'json5';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { byt5Config, imageEncoderConfig, unetConfig, vqganConfig } from 'paella';
import * as v from 'valibot';
import { reason } from '../files.js';
import { anyObject, finite, whole } from '../schemas.js';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const positive = v.pipe(finite, v.gtValue(0));
const atLeast0 = v.pipe(finite, v.minValue(0));
const share = v.pipe(finite, v.minValue(0), v.maxValue(1));
const belowOne = v.pipe(finite, v.minValue(0), v.ltValue(1));

/** A part that may be left out, and then has its defaults. */
const section = <T extends v.ObjectEntries>(entries: T) =>
  v.optional(v.pipe(anyObject, v.strictObject(entries)), {});

const training = (defaults: { learning_rate: number; batch_size: number }) =>
  section({
    steps: v.optional(count, 10_000),
    /** Of each process. */
    batch_size: v.optional(count, defaults.batch_size),
    learning_rate: v.optional(positive, defaults.learning_rate),
    schedule: v.optional(v.picklist(['constant', 'cosine']), 'constant'),
    /** Steps over which the learning rate rises from 0. */
    warmup_steps: v.optional(whole, 100),
    weight_decay: v.optional(atLeast0, 0.01),
    betas: v.optional(v.strictTuple([belowOne, belowOne]), [0.9, 0.999]),
    /** Norm that gradients are scaled down to. */
    grad_clip: v.optional(positive, 1),
    /** Batches whose gradients are added up for one step. */
    grad_accum: v.optional(count, 1),
    /** Averages the weights, and saves and samples with the average; null for none. */
    ema_decay: v.optional(v.nullable(belowOne), 0.999),
    /** f32, or linear layers in f16 with a scaled loss. */
    precision: v.optional(v.picklist(['f32', 'mixed']), 'f32'),
    seed: v.optional(whole, 0),
    checkpoint_every: v.optional(count, 500),
    keep_checkpoints: v.optional(count, 2),
    log_every: v.optional(count, 10),
    grid_every: v.optional(count, 500),
    /** How gradients travel between processes that train together: f16 is for slow networks. */
    reduce_dtype: v.optional(v.picklist(['f32', 'f16']), 'f32'),
    /** Steps after which processes that train together compare their weights. */
    compare_every: v.optional(count, 100),
  });

const data = section({
  /** A folder, shards, or URLs; `--data` stands in for it. */
  source: v.optional(v.string(), ''),
  /** Side of the pictures in pixels. */
  size: v.optional(count, 64),
  resize: v.optional(v.picklist(['cover', 'contain', 'none']), 'cover'),
  crop: v.optional(v.picklist(['center', 'random']), 'center'),
  flip: v.optional(v.boolean(), false),
  shuffle_buffer: v.optional(count, 2000),
  /** Which split to learn from, where the data names splits; empty for all. */
  split: v.optional(v.string(), 'train'),
});

export const vqganRunConfig = v.strictObject({
  model: vqganConfig,
  training: training({ learning_rate: 4e-4, batch_size: 16 }),
  data,
  loss: section({
    l1: v.optional(atLeast0, 1),
    l2: v.optional(atLeast0, 1),
    codebook: v.optional(atLeast0, 1),
    commitment: v.optional(atLeast0, 0.25),
    adversarial: v.optional(atLeast0, 0.1),
  }),
  discriminator: section({
    /** The step that turns it on; null for never. */
    start: v.optional(v.nullable(whole), null),
    c_hidden: v.optional(count, 128),
    depth: v.optional(count, 4),
    learning_rate: v.optional(positive, 2e-4),
  }),
  codebook: section({
    /** Start from latents of pictures instead of random numbers. */
    init_from_data: v.optional(v.boolean(), true),
    /** How often codes that nothing was quantised to are set to latents; null for never. */
    revive_every: v.optional(v.nullable(count), 100),
  }),
});

/** How the pictures of grids are drawn. */
const gridSampling = {
  steps: v.optional(count, 12),
  cfg: v.optional(finite, 4),
  temperature: v.optional(v.strictTuple([positive, positive]), [0.7, 0.3]),
};

export const paellaRunConfig = v.strictObject({
  model: unetConfig,
  training: training({ learning_rate: 3e-4, batch_size: 16 }),
  data,
  /** `default`, a model folder, or the folder of a run that trained a VQGAN. */
  vqgan: v.optional(v.string(), 'default'),
  text: v.optional(
    v.variant(
      'kind',
      [
        /** The embedded model's word vectors, or those of another model folder. */
        v.strictObject({ kind: v.literal('word-vectors'), model: v.optional(v.string(), 'default') }),
        /** ByT5, frozen: a folder with config.json and the weights. */
        v.strictObject({ kind: v.literal('byt5'), path: v.string(), max_length: v.optional(count, 128) }),
        /** A small byte encoder of ByT5's architecture, trained along. */
        v.strictObject({ kind: v.literal('bytes'), config: byt5Config, max_length: v.optional(count, 64) }),
      ],
      "expected kind 'word-vectors', 'byt5' or 'bytes'",
    ),
    { kind: 'word-vectors' },
  ),
  noise: section({
    min_t: v.optional(share, 0.001),
    label_smoothing: v.optional(belowOne, 0.1),
    loss_weight_min: v.optional(share, 0.3),
  }),
  /** Share of pictures that learn without a caption. */
  caption_dropout: v.optional(share, 0.1),
  /** The main caption always, or one of all. */
  captions: v.optional(v.picklist(['first', 'random']), 'random'),
  /** Of the pictures in grids, and of the model that the run makes. */
  sampling: section({
    ...gridSampling,
    prompts: v.optional(v.array(v.string()), []),
  }),
});

export const imageEncoderRunConfig = v.strictObject({
  model: imageEncoderConfig,
  training: training({ learning_rate: 1e-3, batch_size: 16 }),
  data,
  /** `default` or a model folder: the model that is to look at pictures. */
  paella: v.optional(v.string(), 'default'),
  noise: section({
    /** What a picture shows decides most where there is most noise. */
    min_t: v.optional(share, 0.5),
    label_smoothing: v.optional(belowOne, 0.1),
    loss_weight_min: v.optional(share, 0),
  }),
  /** Share of pictures that learn without a caption beside them. */
  caption_dropout: v.optional(share, 0.7),
  captions: v.optional(v.picklist(['first', 'random']), 'random'),
  /** Of the pictures in grids. */
  sampling: section(gridSampling),
});

export type VqganRunConfig = v.InferOutput<typeof vqganRunConfig>;
export type PaellaRunConfig = v.InferOutput<typeof paellaRunConfig>;
export type ImageEncoderRunConfig = v.InferOutput<typeof imageEncoderRunConfig>;

/**
 * Checks a configuration and fills in defaults.
 *
 * @param origin names the file in error messages
 * @throws PaellaError `argument` listing everything that is wrong; an unknown key comes with the nearest known one
 */
export function parseConfig<T>(schema: v.GenericSchema<unknown, T>, input: unknown, origin: string): T {
  const parsed = v.safeParse(v.pipe(anyObject, schema), input, { abortPipeEarly: true });
  if (parsed.success) return parsed.output;
  const problems = parsed.issues.flatMap((issue) => describe(issue, schema, input));
  throw new PaellaError('argument', `${origin} is no valid configuration:\n  ${problems.join('\n  ')}`);
}

type Path = readonly unknown[];

/** `training.betas[1]` */
function nameOf(path: Path): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return text.replace(/^\./, '') || 'the whole';
}

function describe(issue: v.BaseIssue<unknown>, schema: Schema, input: unknown): string[] {
  const path = (issue.path ?? []).map(({ key }) => key);
  if (issue.path?.at(-1)?.origin !== 'key') {
    const message = issue.message.replace(/^Invalid [a-z ]+: (?=Expected )/, '');
    return [`${nameOf(path)}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`];
  }
  const place = path.slice(0, -1);
  const shape = shapeAt(schema, input, place);
  if (issue.expected !== 'never') {
    return [`${nameOf(path)}: missing, expected ${shape[String(path.at(-1))].expects}`];
  }
  // Valibot stops at the first.
  const unknown = Object.keys(valueAt(input, place) ?? {}).filter((key) => !Object.hasOwn(shape, key));
  return unknown.map((key) => {
    const meant = nearest(key, place, schema, input);
    return `${nameOf([...place, key])}: unknown key${meant ? `; did you mean ${meant}?` : ''}`;
  });
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

const valueAt = (input: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, key) => (isRecord(value) ? value[String(key)] : undefined), input);

/** The key that was probably meant: a similar one in the same place, or this very one in another. */
function nearest(key: string, path: Path, schema: Schema, input: unknown): string | undefined {
  const plain = key.toLowerCase().replaceAll(/[-\s]/g, '_');
  const known = Object.keys(shapeAt(schema, input, path));
  const best = known.length > 0 ? closest(plain, known) : '';
  // A third of the letters may differ: more is another word.
  if (best && distance(plain, best) <= Math.max(1, Math.floor(Math.max(plain.length, best.length) / 3))) {
    return best;
  }
  const elsewhere = pathsIn(schema, input).find((other) => other.at(-1) === plain);
  return elsewhere && nameOf(elsewhere);
}

/** What Valibot's schemas tell of themselves, as far as it matters here. */
interface Schema {
  readonly type: string;
  /** What errors call it. */
  readonly expects?: string | null;
  /** Of an object. */
  readonly entries?: Shape;
  /** Of what may be absent or null. */
  readonly wrapped?: Schema;
  readonly pipe?: readonly Schema[];
  /** Of a variant: which key tells the kind, and a schema for each. */
  readonly key?: string;
  readonly options?: readonly Schema[];
  /** Of a literal. */
  readonly literal?: unknown;
}

type Shape = Readonly<Record<string, Schema>>;

/** The keys of an object; of a variant those of the kind that the input chose. None for anything else. */
function shapeOf(schema: Schema | undefined, value: unknown): Shape {
  if (!schema) return {};
  const { type, entries, wrapped, pipe, key, options } = schema;
  if (entries) return entries;
  if (type !== 'variant') return shapeOf(wrapped ?? pipe?.at(-1), value);
  const chosen = valueAt(value, [key]);
  const shapes = (options ?? []).map((option) => shapeOf(option, value));
  return shapes.find((shape) => shape[String(key)].literal === chosen) ?? {};
}

function shapeAt(schema: Schema, input: unknown, path: Path): Shape {
  let shape = shapeOf(schema, input);
  for (const [i, key] of path.entries()) {
    shape = shapeOf(shape[String(key)], valueAt(input, path.slice(0, i + 1)));
  }
  return shape;
}

/** The paths of all keys. */
function pathsIn(schema: Schema, value: unknown): string[][] {
  return Object.entries(shapeOf(schema, value)).flatMap(([key, child]) => [
    [key],
    ...pathsIn(child, valueAt(value, [key])).map((rest) => [key, ...rest]),
  ]);
}

/** The configurations that come along: from `src/run` and from the bundle `dist/main.js`. */
function readyFolder(): string {
  const places = ['../../configs/', '../configs/'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return places.find((place) => existsSync(place)) ?? places[0];
}

/** Names that {@link readConfig} takes besides paths. */
export function configNames(): string[] {
  const files = readdirSync(readyFolder()).filter((file) => file.endsWith('.json'));
  return files.map((file) => file.replace(/\.json$/, '')).sort();
}

/**
 * Reads a configuration: a JSON file, which may have comments and trailing commas, or the name of one that comes along.
 *
 * @throws PaellaError `not-found` naming the ready ones, `argument` for a syntax error, with line and column
 */
export function readConfig(nameOrPath: string): unknown {
  const names = configNames();
  const path = names.includes(nameOrPath) ? join(readyFolder(), `${nameOrPath}.json`) : nameOrPath;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const why = existsSync(path) ? `: ${reason(cause)}` : '';
    throw new PaellaError('not-found', `there is no configuration ${nameOrPath}${why}`, {
      fix: `Name a JSON file, or one of ${names.join(', ')}.`,
      cause,
    });
  }
  try {
    return JSON5.parse(text);
  } catch (cause) {
    const [, what, line, column] = /^JSON5: (.*) at (\d+):(\d+)$/.exec(reason(cause)) ?? [];
    const where = what ? `line ${line}, column ${column}: ${what}` : reason(cause);
    throw new PaellaError('argument', `${path} is not JSON: ${where}`, { cause });
  }
}
