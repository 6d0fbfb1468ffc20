/** Builds the captioned emoji set as WebDataset shards. */
import { PaellaError, Rng } from '@paella/tensor';
import { createHash } from 'node:crypto';
import { openAvatars } from './avatars.js';
import { captionsOf } from './captions.js';
import { Dice, type Scene, type Stock, composeScene } from './compose.js';
import { type Concept, Concepts } from './concepts.js';
import { type Collection, type Drawing, listDrawings } from './drawings.js';
import { type Packages, openPackages } from './packages.js';
import { backdrop, draw, isBlank } from './render.js';
import {
  type PictureSource,
  avatarCore,
  avatarSource,
  isPermissive,
  nameSources,
  pictureSources,
  silhouetteSource,
} from './sources.js';
import { type ItemDescription, ShardWriter, type Written, encodePng } from './write.js';

export interface EmojiOptions {
  out: string;
  size: number;
  /** Names of {@link pictureSources}. */
  sources: readonly string[];
  /** A folder with node_modules, null for the cache. */
  packages: string | null;
  /** Scenes and avatars besides. */
  compose: number;
  avatars: number;
  /** At most this many pictures of each source. */
  limit: number;
  shardSize: number;
  /** Only what MIT, Apache-2.0 and CC0 cover: nothing that asks for attribution where the pictures are seen. */
  strictLicences?: boolean;
  seed: number;
  note: (message: string) => void;
  progress: (label: string, done: number, total: number) => void;
  checkInterrupt: () => void;
}

export interface EmojiSummary extends Written {
  /** Drawings that could not be drawn, equal ones, blank ones. */
  left: { unreadable: number; equal: number; blank: number };
}

/** A picture to make. */
interface Job {
  /** Null if there is nothing to see. */
  draw(): Promise<Uint8Array | null>;
  /** What is said of it, once it is drawn. */
  describe(): ItemDescription;
}

/** Skin-tone variants are half of all emoji: each is seen in this share of passes. */
const variantWeight = 0.15;
/** Kinds of which there are many that look alike: clocks, flags, buttons with signs. */
const manyAlike: readonly [RegExp, number][] = [
  [/o’clock|-thirty$/, 0.3],
  [/^flag: |^keycap: | button$/, 0.3],
];
/** Concepts, and renderings of known ones, that are held out. */
const heldOutConcepts = 0.03;
const heldOutRenderings = 0.02;
const sceneGroups = /animals|food|objects|travel|activities/;
const notInScenes = /o’clock|-thirty$|locked| button$/;
/** Names of silhouettes that say nothing: counted abstract shapes. */
const saysNothing = /\d|abstract|^perspective-|inverted/;
/** Pictures drawn at the same time. */
const atOnce = 6;

/** Draws of the seed's generator; a scene or avatar takes the stream of its number on, and no other's. */
const ORDER = 0;
const FIRST_LIMIT = 1;
const FIRST_SCENE = 1024;
const FIRST_AVATAR = 2 ** 31;
const streamsOfScene = 64;

/**
 * Builds the set. Equal options and packages give equal bytes.
 *
 * @throws PaellaError `argument` for an unknown source, `not-found` if packages are missing
 */
export async function buildEmojiSet(options: EmojiOptions): Promise<EmojiSummary> {
  const chosen = chooseSources(options);
  const extras = [
    ...(options.compose > 0 && !options.strictLicences ? [silhouetteSource] : []),
    ...(options.avatars > 0 ? [avatarSource] : []),
  ];
  const wanted = [...nameSources, ...chosen, ...extras, ...(options.avatars > 0 ? [avatarCore] : [])];
  // First: it would be a pity to install packages, and then to find the folder taken.
  const writer = new ShardWriter(options.out, options.shardSize);
  const packages = await openPackages(wanted, options.packages, options.note);
  const left = { unreadable: 0, equal: 0, blank: 0 };
  try {
    const drawings = takeDrawings(chosen, packages, options);
    left.equal += drawings.reduce((sum, { others }) => sum + others.length, 0);
    const jobs = [
      ...drawings.map((drawing) => drawingJob(drawing, options.size)),
      ...sceneJobs(options, packages, drawings),
      ...(await avatarJobs(options, packages)),
    ];
    const seen = new Set<string>();
    let done = 0;
    for await (const { pixels, job } of inRandomOrder(jobs, options.seed, options.checkInterrupt)) {
      options.progress('pictures', ++done, jobs.length);
      const hash = pixels && createHash('sha256').update(pixels).digest('hex');
      if (pixels === undefined) left.unreadable++;
      else if (!hash) left.blank++;
      else if (seen.has(hash)) left.equal++;
      else {
        seen.add(hash);
        await writer.add({ png: await encodePng(pixels, options.size), description: job.describe() });
      }
    }
    const { size, seed } = options;
    return { ...(await writer.finish([...chosen, ...extras, ...nameSources], { size, seed })), left };
  } catch (error) {
    writer.discard();
    throw error;
  }
}

function chooseSources({ sources, strictLicences = false }: EmojiOptions): PictureSource[] {
  const known = pictureSources.map(({ name }) => name).join(', ');
  const chosen = sources.map((name) => {
    const source = pictureSources.find((one) => one.name === name);
    if (source) return source;
    throw new PaellaError('argument', `there is no picture source '${name}'`, {
      fix: `Choose from ${known}.`,
    });
  });
  const allowed = [...new Set(chosen)].filter(({ licence }) => !strictLicences || isPermissive(licence));
  if (allowed.length > 0) return allowed;
  throw new PaellaError('argument', `no picture source of ${sources.join(', ')} has a permissive licence`);
}

function takeDrawings(
  sources: readonly PictureSource[],
  packages: Packages,
  { limit, seed }: EmojiOptions,
): Drawing[] {
  const concepts = new Concepts(packages);
  return sources.flatMap((source, i) => {
    const all = listDrawings(source, packages, concepts);
    if (all.length <= limit) return all;
    return [...new Rng(seed, FIRST_LIMIT + i).permutation(all.length)].slice(0, limit).map((at) => all[at]);
  });
}

/**
 * Draws in random order, so that every shard holds something of everything; a few at once, and still in the one order
 * that the seed decides.
 */
async function* inRandomOrder(
  jobs: readonly Job[],
  seed: number,
  checkInterrupt: () => void,
): AsyncGenerator<{ job: Job; pixels: Uint8Array | null | undefined }> {
  const pending: Promise<{ job: Job; pixels: Uint8Array | null | undefined }>[] = [];
  for (const at of new Rng(seed, ORDER).permutation(jobs.length)) {
    checkInterrupt();
    const job = jobs[at];
    pending.push(
      job.draw().then(
        (pixels) => ({ job, pixels }),
        () => ({ job, pixels: undefined }), // librsvg refuses a drawing
      ),
    );
    if (pending.length > atOnce) yield (await pending.shift())!;
  }
  for (const one of pending) yield await one;
}

function drawingJob(drawing: Drawing, size: number): Job {
  const { source, concept, others } = drawing;
  return {
    async draw() {
      const pixels = draw(backdrop(size, [255, 255, 255]), size, await drawing.render(size), 0, 0);
      return isBlank(pixels) ? null : pixels;
    },
    describe: () => ({
      captions: captionsOf(concept, source.style, others),
      tags: [...new Set([concept, ...others].flatMap(({ tags }) => tags))],
      source: source.name,
      licence: source.licence,
      concept: concept.base,
      weight: weightOf(concept),
      split: splitOf(drawing),
    }),
  };
}

function weightOf({ name, isVariant }: Concept): number {
  const alike = manyAlike.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
  return isVariant ? alike * variantWeight : alike;
}

function splitOf({ source, concept }: Drawing): 'train' | 'test' {
  const isHeldOut =
    share(concept.base) < heldOutConcepts || share(`${source.name}/${concept.base}`) < heldOutRenderings;
  return isHeldOut ? 'test' : 'train';
}

/** Scenes of concepts that are trained on; combinations of them are held out. */
function sceneJobs(options: EmojiOptions, packages: Packages, drawings: readonly Drawing[]): Job[] {
  const { size, seed, compose, strictLicences = false } = options;
  const subjects = drawings
    .filter(({ concept }) => !concept.isVariant && sceneGroups.test(concept.group))
    .filter((drawing) => splitOf(drawing) === 'train' && !notInScenes.test(drawing.concept.name))
    .map(({ source, concept: { name, group }, render }) => ({
      name,
      group,
      licence: source.licence,
      sprite: () => render(size),
    }));
  if (compose === 0 || subjects.length === 0) return [];
  const defaults = strictLicences
    ? { icons: {} }
    : (packages.json(silhouetteSource.package, 'icons.json') as Collection);
  const icons = Object.entries(defaults.icons).filter(([id, { hidden }]) => !hidden && !saysNothing.test(id));
  const stock: Stock = { subjects, silhouettes: { icons, defaults, licence: silhouetteSource.licence } };
  return Array.from({ length: compose }, (_, i) =>
    sceneJob('scenes', () =>
      composeScene(new Dice(new Rng(seed, FIRST_SCENE + i * streamsOfScene)), stock, size),
    ),
  );
}

async function avatarJobs(options: EmojiOptions, packages: Packages): Promise<Job[]> {
  const { size, seed, avatars, strictLicences = false } = options;
  if (avatars === 0) return [];
  const drawAvatar = await openAvatars(packages, strictLicences);
  return Array.from({ length: avatars }, (_, i) =>
    sceneJob(avatarSource.name, () =>
      drawAvatar(new Dice(new Rng(seed, FIRST_AVATAR + i * streamsOfScene)), size),
    ),
  );
}

function sceneJob(source: string, make: () => Promise<Scene>): Job {
  let scene: Omit<Scene, 'pixels'> | null = null;
  return {
    async draw() {
      const { pixels, ...rest } = await make();
      scene = rest;
      return pixels;
    },
    describe() {
      const { captions, tags, licence } = scene!;
      const [concept] = captions;
      const split = share(concept) < heldOutConcepts ? 'test' : 'train';
      return { captions, tags, source, licence, concept, weight: 1, split };
    },
  };
}

/** A number in [0,1) that depends on the text alone. */
const share = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32;
