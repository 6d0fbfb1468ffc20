/** Configurations of training runs: their schemas, and how a file becomes one. */
import { PaellaError } from '@paella/tensor';
import { closest, distance } from 'fastest-levenshtein';
import JSON5 from 'json5';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { byt5Config, imageEncoderConfig, unetConfig, vqganConfig } from 'paella';
import * as z from 'zod';
import { reason } from '../files.js';

const count = z.int().positive();
const whole = z.int().nonnegative();
const positive = z.number().positive();
const share = z.number().min(0).max(1);
const belowOne = z.number().min(0).lt(1);

const training = (defaults: { learning_rate: number; batch_size: number }) =>
  z
    .strictObject({
      steps: count.default(10_000),
      batch_size: count.default(defaults.batch_size),
      learning_rate: positive.default(defaults.learning_rate),
      schedule: z.enum(['constant', 'cosine']).default('constant'),
      /** Steps over which the learning rate rises from 0. */
      warmup_steps: whole.default(100),
      weight_decay: z.number().nonnegative().default(0.01),
      betas: z.tuple([belowOne, belowOne]).default([0.9, 0.999]),
      /** Norm that gradients are scaled down to. */
      grad_clip: positive.default(1),
      /** Batches whose gradients are added up for one step. */
      grad_accum: count.default(1),
      /** Averages the weights, and saves and samples with the average; null for none. */
      ema_decay: belowOne.nullable().default(0.999),
      /** f32, or linear layers in f16 with a scaled loss. */
      precision: z.enum(['f32', 'mixed']).default('f32'),
      seed: whole.default(0),
      checkpoint_every: count.default(500),
      keep_checkpoints: count.default(2),
      log_every: count.default(10),
      grid_every: count.default(500),
    })
    .prefault({});

const data = z
  .strictObject({
    /** A folder, shards, or URLs; `--data` stands in for it. */
    source: z.string().default(''),
    /** Side of the pictures in pixels. */
    size: count.default(64),
    resize: z.enum(['cover', 'contain', 'none']).default('cover'),
    crop: z.enum(['center', 'random']).default('center'),
    flip: z.boolean().default(false),
    shuffle_buffer: count.default(2000),
    /** Which split to learn from, where the data names splits; empty for all. */
    split: z.string().default('train'),
  })
  .prefault({});

export const vqganRunConfig = z.strictObject({
  model: vqganConfig,
  training: training({ learning_rate: 4e-4, batch_size: 16 }),
  data,
  loss: z
    .strictObject({
      l1: z.number().nonnegative().default(1),
      l2: z.number().nonnegative().default(1),
      codebook: z.number().nonnegative().default(1),
      commitment: z.number().nonnegative().default(0.25),
      adversarial: z.number().nonnegative().default(0.1),
    })
    .prefault({}),
  discriminator: z
    .strictObject({
      /** The step that turns it on; null for never. */
      start: whole.nullable().default(null),
      c_hidden: count.default(128),
      depth: count.default(4),
      learning_rate: positive.default(2e-4),
    })
    .prefault({}),
  codebook: z
    .strictObject({
      /** Start from latents of pictures instead of random numbers. */
      init_from_data: z.boolean().default(true),
      /** How often codes that nothing was quantised to are set to latents; null for never. */
      revive_every: count.nullable().default(100),
    })
    .prefault({}),
});

/** How the pictures of grids are drawn. */
const gridSampling = {
  steps: count.default(12),
  cfg: z.number().default(4),
  temperature: z.tuple([positive, positive]).default([0.7, 0.3]),
};

export const paellaRunConfig = z.strictObject({
  model: unetConfig,
  training: training({ learning_rate: 3e-4, batch_size: 16 }),
  data,
  /** `default`, a model folder, or the folder of a run that trained a VQGAN. */
  vqgan: z.string().default('default'),
  text: z
    .discriminatedUnion(
      'kind',
      [
        /** The embedded model's word vectors, or those of another model folder. */
        z.strictObject({ kind: z.literal('word-vectors'), model: z.string().default('default') }),
        /** ByT5, frozen: a folder with config.json and the weights. */
        z.strictObject({ kind: z.literal('byt5'), path: z.string(), max_length: count.default(128) }),
        /** A small byte encoder of ByT5's architecture, trained along. */
        z.strictObject({ kind: z.literal('bytes'), config: byt5Config, max_length: count.default(64) }),
      ],
      { error: "expected kind 'word-vectors', 'byt5' or 'bytes'" },
    )
    .prefault({ kind: 'word-vectors' }),
  noise: z
    .strictObject({
      min_t: share.default(0.001),
      label_smoothing: belowOne.default(0.1),
      loss_weight_min: share.default(0.3),
    })
    .prefault({}),
  /** Share of pictures that learn without a caption. */
  caption_dropout: share.default(0.1),
  /** The main caption always, or one of all. */
  captions: z.enum(['first', 'random']).default('random'),
  /** Of the pictures in grids, and of the model that the run makes. */
  sampling: z
    .strictObject({
      ...gridSampling,
      prompts: z.array(z.string()).default([]),
    })
    .prefault({}),
});

export const imageEncoderRunConfig = z.strictObject({
  model: imageEncoderConfig,
  training: training({ learning_rate: 1e-3, batch_size: 16 }),
  data,
  /** `default` or a model folder: the model that is to look at pictures. */
  paella: z.string().default('default'),
  noise: z
    .strictObject({
      /** What a picture shows decides most where there is most noise. */
      min_t: share.default(0.5),
      label_smoothing: belowOne.default(0.1),
      loss_weight_min: share.default(0),
    })
    .prefault({}),
  /** Share of pictures that learn without a caption beside them. */
  caption_dropout: share.default(0.7),
  captions: z.enum(['first', 'random']).default('random'),
  /** Of the pictures in grids. */
  sampling: z
    .strictObject({
      ...gridSampling,
    })
    .prefault({}),
});

export type VqganRunConfig = z.infer<typeof vqganRunConfig>;
export type PaellaRunConfig = z.infer<typeof paellaRunConfig>;
export type ImageEncoderRunConfig = z.infer<typeof imageEncoderRunConfig>;

/**
 * Checks a configuration and fills in defaults.
 *
 * @param origin names the file in error messages
 * @throws PaellaError `argument` listing everything that is wrong; an unknown key comes with the nearest known one
 */
export function parseConfig<T>(schema: z.core.$ZodType<T>, input: unknown, origin: string): T {
  const parsed = z.safeParse(schema, input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) => describe(issue, schema, input));
  throw new PaellaError('argument', `${origin} is no valid configuration:\n  ${problems.join('\n  ')}`);
}

type Path = readonly PropertyKey[];

/** `training.betas[1]` */
function nameOf(path: Path): string {
  const text = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return text.replace(/^\./, '') || 'the whole';
}

function describe(issue: z.core.$ZodIssue, schema: z.core.$ZodType, input: unknown): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const meant = nearest(key, issue.path, schema, input);
      return `${nameOf([...issue.path, key])}: unknown key${meant ? `; did you mean ${meant}?` : ''}`;
    });
  }
  const message = issue.message.replace(/^Invalid (input|option): /, '').replace(/, received undefined$/, '');
  const isMissing = issue.code === 'invalid_type' && valueAt(input, issue.path) === undefined;
  const text = isMissing ? `missing, ${message}` : message.charAt(0).toLowerCase() + message.slice(1);
  return [`${nameOf(issue.path)}: ${text}`];
}

const isRecord = (value: unknown): value is Record<PropertyKey, unknown> =>
  typeof value === 'object' && value !== null;

const valueAt = (input: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, key) => (isRecord(value) ? value[key] : undefined), input);

/** The key that was probably meant: a similar one in the same place, or this very one in another. */
function nearest(key: string, path: Path, schema: z.core.$ZodType, input: unknown): string | undefined {
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

type Shape = Readonly<Record<string, z.core.$ZodType>>;

/** The keys of an object; of a union those of the kind that the input chose. None for anything else. */
function shapeOf(schema: z.core.$ZodType | undefined, value: unknown): Shape {
  if (schema instanceof z.core.$ZodObject) return schema._zod.def.shape;
  if (
    schema instanceof z.core.$ZodPrefault ||
    schema instanceof z.core.$ZodDefault ||
    schema instanceof z.core.$ZodNullable ||
    schema instanceof z.core.$ZodOptional
  ) {
    return shapeOf(schema._zod.def.innerType, value);
  }
  if (!(schema instanceof z.core.$ZodDiscriminatedUnion)) return {};
  const { discriminator, options } = schema._zod.def;
  const chosen = isRecord(value) ? value[discriminator] : undefined;
  const isChosen = (kind: z.core.$ZodType): boolean =>
    kind instanceof z.core.$ZodLiteral && kind._zod.def.values.some((one) => one === chosen);
  const shapes = options.map((option) => shapeOf(option, value));
  return shapes.find((shape) => isChosen(shape[discriminator])) ?? {};
}

function shapeAt(schema: z.core.$ZodType, input: unknown, path: Path): Shape {
  let shape = shapeOf(schema, input);
  for (const [i, key] of path.entries()) {
    shape = shapeOf(shape[String(key)], valueAt(input, path.slice(0, i + 1)));
  }
  return shape;
}

/** The paths of all keys. */
function pathsIn(schema: z.core.$ZodType, value: unknown): string[][] {
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
