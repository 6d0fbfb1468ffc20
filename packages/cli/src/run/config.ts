/** Configurations of training runs: their schemas, and how a file becomes one. */
import { PaellaError } from '@paella/tensor';
import { closest, distance } from 'fastest-levenshtein';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { byt5Config, unetConfig, vqganConfig } from 'paella';
import * as z from 'zod';

const count = z.int().positive();
const whole = z.int().nonnegative();
const positive = z.number().positive();
const share = z.number().min(0).max(1);

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
      betas: z.tuple([share, share]).default([0.9, 0.999]),
      /** Norm that gradients are scaled down to. */
      grad_clip: positive.default(1),
      /** Batches whose gradients are added up for one step. */
      grad_accum: count.default(1),
      /** Averages the weights, and saves and samples with the average; null for none. */
      ema_decay: share.nullable().default(0.999),
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

export const paellaRunConfig = z.strictObject({
  model: unetConfig,
  training: training({ learning_rate: 3e-4, batch_size: 16 }),
  data,
  /** `default`, a model folder, or the folder of a run that trained a VQGAN. */
  vqgan: z.string().default('default'),
  text: z
    .discriminatedUnion('kind', [
      /** The embedded model's word vectors, or those of another model folder. */
      z.strictObject({ kind: z.literal('word-vectors'), model: z.string().default('default') }),
      /** ByT5, frozen: a folder with config.json and the weights. */
      z.strictObject({ kind: z.literal('byt5'), path: z.string(), max_length: count.default(128) }),
      /** A small byte encoder of ByT5's architecture, trained along. */
      z.strictObject({ kind: z.literal('bytes'), config: byt5Config, max_length: count.default(64) }),
    ])
    .prefault({ kind: 'word-vectors' }),
  noise: z
    .strictObject({
      min_t: share.default(0.001),
      label_smoothing: share.default(0.1),
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
      steps: count.default(12),
      cfg: z.number().default(4),
      temperature: z.tuple([positive, positive]).default([0.7, 0.3]),
      prompts: z.array(z.string()).default([]),
    })
    .prefault({}),
});

export type VqganRunConfig = z.infer<typeof vqganRunConfig>;
export type PaellaRunConfig = z.infer<typeof paellaRunConfig>;

/**
 * Checks a configuration and fills in defaults.
 *
 * @param origin names the file in error messages
 * @throws PaellaError `argument` listing everything that is wrong; an unknown key comes with the nearest known one
 */
export function parseConfig<T>(schema: z.ZodType<T>, input: unknown, origin: string): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) => {
    const place = (keys: readonly PropertyKey[]): string => keys.map(String).join('.');
    if (issue.code !== 'unrecognized_keys') {
      return [`${place(issue.path) || 'the whole'}: ${issue.message}`];
    }
    const known = keysAt(schema, issue.path);
    return issue.keys.map((key) => {
      const nearest = known.length > 0 ? closest(key, known) : '';
      const isNear = nearest !== '' && distance(key, nearest) <= Math.max(2, key.length / 3);
      return `${place([...issue.path, key])}: unknown key${isNear ? `; did you mean ${nearest}?` : ''}`;
    });
  });
  throw new PaellaError('argument', `${origin} is no valid configuration:\n  ${problems.join('\n  ')}`);
}

/** The keys that an object of the schema may have, at a path. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let current: unknown = schema;
  const unwrap = (type: unknown): unknown => {
    let inner = type;
    while (
      inner instanceof z.ZodPrefault ||
      inner instanceof z.ZodDefault ||
      inner instanceof z.ZodNullable
    ) {
      inner = inner.unwrap();
    }
    return inner;
  };
  for (const key of path) {
    const object = unwrap(current);
    if (!(object instanceof z.ZodObject)) return [];
    current = (object.shape as Record<string, unknown>)[String(key)];
  }
  const object = unwrap(current);
  if (object instanceof z.ZodDiscriminatedUnion) {
    return object.options.flatMap((option) =>
      option instanceof z.ZodObject ? Object.keys(option.shape) : [],
    );
  }
  return object instanceof z.ZodObject ? Object.keys(object.shape) : [];
}

const readyConfigs = fileURLToPath(new URL('../../configs/', import.meta.url));

/**
 * Reads a configuration: a JSON file, or the name of one that comes along.
 *
 * @throws PaellaError `not-found` naming the ready ones, `format` if the file is no JSON
 */
export function readConfig(nameOrPath: string): unknown {
  const folder = [readyConfigs, fileURLToPath(new URL('../configs/', import.meta.url))].find(existsSync);
  const ready = folder ? readdirSync(folder).map((file) => file.replace(/\.json$/, '')) : [];
  const path = ready.includes(nameOrPath) ? `${folder}/${nameOrPath}.json` : nameOrPath;
  if (!existsSync(path)) {
    throw new PaellaError('not-found', `there is no configuration ${nameOrPath}`, {
      fix: `Name a JSON file, or one of ${ready.join(', ')}.`,
    });
  }
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new PaellaError('format', `${path} is not JSON: ${why}`, { cause });
  }
}
