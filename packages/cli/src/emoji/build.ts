/** Builds the captioned emoji set as WebDataset shards. */
import { PaellaError, Rng } from '@paella/tensor';
import { packTar } from 'modern-tar';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { openAvatars } from './avatars.js';
import { Dice, type Scene, type Subject, composeScene } from './compose.js';
import { type Concept, Concepts, inWords } from './concepts.js';
import { type Packages, openPackages } from './packages.js';
import { type Icon, type Sprite, backdrop, draw, isBlank, renderFile, renderSvg, svgOf } from './render.js';
import {
  type PictureSource,
  avatarCore,
  avatarSource,
  nameSources,
  pictureSources,
  silhouetteSource,
} from './sources.js';

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
  seed: number;
  note: (message: string) => void;
  progress: (label: string, done: number, total: number) => void;
  checkInterrupt: () => void;
}

export interface EmojiSummary {
  shards: string[];
  images: number;
  bySource: Record<string, number>;
  bySplit: Record<string, number>;
  /** Drawings that could not be drawn, equal ones, blank ones. */
  left: { unreadable: number; equal: number; blank: number };
}

interface Item {
  pixels: Uint8Array;
  captions: string[];
  tags: string[];
  source: string;
  licence: string;
  concept: string;
  weight: number;
  split: string;
}

/** Skin-tone variants are half of all emoji: each is seen in this share of passes. */
const variantWeight = 0.15;
/** Flags look alike to a model, and there are many. */
const flagWeight = 0.3;
/** Concepts, and renderings of known ones, that are held out. */
const heldOutConcepts = 0.03;
const heldOutRenderings = 0.02;
const sceneGroups = /animals|food|objects|travel|activities/;

/**
 * Builds the set. Equal options and packages give equal bytes.
 *
 * @throws PaellaError `argument` for an unknown source, `not-found` if packages are missing
 */
export async function buildEmojiSet(options: EmojiOptions): Promise<EmojiSummary> {
  const chosen = options.sources.map((name) => {
    const source = pictureSources.find((one) => one.name === name);
    if (source) return source;
    const known = pictureSources.map((one) => one.name).join(', ');
    throw new PaellaError('argument', `there is no picture source '${name}'`, {
      fix: `Choose from ${known}.`,
    });
  });
  const extras = [
    ...(options.compose > 0 ? [silhouetteSource] : []),
    ...(options.avatars > 0 ? [avatarSource] : []),
  ];
  const wanted = [...nameSources, ...chosen, ...extras, ...(options.avatars > 0 ? [avatarCore] : [])];
  const packages = await openPackages(wanted, options.packages, options.note);
  const writer = new ShardWriter(options);
  const left = { unreadable: 0, equal: 0, blank: 0 };
  const seen = new Set<string>();
  const subjects: Subject[] = [];
  const concepts = new Concepts(packages);
  try {
    for (const source of chosen) {
      let taken = 0;
      const drawings = listDrawings(source, packages, concepts, options.size).slice(0, options.limit);
      for (const [i, { concept, render }] of drawings.entries()) {
        options.checkInterrupt();
        options.progress(source.name, i + 1, drawings.length);
        let sprite: Sprite;
        try {
          sprite = await render();
        } catch {
          left.unreadable++;
          continue;
        }
        const pixels = draw(backdrop(options.size, [255, 255, 255]), options.size, sprite, 0, 0);
        const hash = createHash('sha256').update(pixels).digest('hex');
        if (isBlank(pixels)) left.blank++;
        else if (seen.has(hash)) left.equal++;
        else {
          seen.add(hash);
          taken++;
          await writer.add(emojiItem(source, concept, pixels));
          if (!concept.isVariant && sceneGroups.test(concept.group))
            subjects.push({ name: concept.name, sprite: render });
        }
      }
      options.note(`${source.name}: ${taken} pictures`);
    }
    await addScenes(options, packages, subjects, writer);
    return { ...(await writer.finish([...chosen, ...extras, ...nameSources])), left };
  } catch (error) {
    writer.discard();
    throw error;
  }
}

function emojiItem({ name, style, licence }: PictureSource, concept: Concept, pixels: Uint8Array): Item {
  const tagged = concept.tags.slice(0, 2).join(' ');
  const captions = [
    `${concept.name}, ${style}`,
    concept.name,
    ...(tagged ? [`${concept.name} ${tagged}`] : []),
  ];
  const weight = concept.isVariant ? variantWeight : concept.group === 'flags' ? flagWeight : 1;
  const isHeldOut =
    share(concept.base) < heldOutConcepts || share(`${name}/${concept.base}`) < heldOutRenderings;
  const split = isHeldOut ? 'test' : 'train';
  return {
    pixels,
    captions,
    tags: concept.tags,
    source: name,
    licence,
    concept: concept.base,
    weight,
    split,
  };
}

async function addScenes(
  options: EmojiOptions,
  packages: Packages,
  subjects: readonly Subject[],
  writer: ShardWriter,
): Promise<void> {
  const { size, seed, compose, avatars } = options;
  const scene = (source: { name: string; licence: string }, { pixels, caption }: Scene): Item => {
    const known = { tags: [], source: source.name, licence: source.licence, concept: caption, weight: 1 };
    return {
      pixels,
      captions: [caption],
      ...known,
      split: share(caption) < heldOutConcepts ? 'test' : 'train',
    };
  };
  if (compose > 0 && subjects.length > 0) {
    const collection = packages.json<{ icons: Record<string, Icon> } & Partial<Icon>>(
      silhouetteSource.package,
      'icons.json',
    );
    const silhouettes = Object.entries(collection.icons).filter(([, { hidden }]) => !hidden);
    const dice = new Dice(new Rng(seed, 1000));
    const composed = { name: 'scenes', licence: 'that of the emoji in it, CC-BY-3.0 for silhouettes' };
    for (let i = 0; i < compose; i++) {
      options.checkInterrupt();
      options.progress('scenes', i + 1, compose);
      await writer.add(scene(composed, await composeScene(dice, subjects, silhouettes, collection, size)));
    }
  }
  if (avatars > 0) {
    const makeAvatar = await openAvatars(packages);
    const dice = new Dice(new Rng(seed, 2 ** 31));
    for (let i = 0; i < avatars; i++) {
      options.checkInterrupt();
      options.progress('avatars', i + 1, avatars);
      await writer.add(scene(avatarSource, await makeAvatar(dice, size)));
    }
  }
}

interface Drawing {
  concept: Concept;
  render: () => Promise<Sprite>;
}

/** Every drawing of a source that has a name, in the order of names. */
function listDrawings(
  source: PictureSource,
  packages: Packages,
  concepts: Concepts,
  size: number,
): Drawing[] {
  if (source.names === 'files') {
    return readdirSync(packages.path(source.package, 'assets'))
      .sort()
      .flatMap((file) => {
        const concept = concepts.byHex(file.replace(/\.\w+$/, ''));
        const path = packages.path(source.package, 'assets', file);
        return concept ? [{ concept, render: () => renderFile(path, size) }] : [];
      });
  }
  const collection = packages.json<{ icons: Record<string, Icon> } & Partial<Icon>>(
    source.package,
    'icons.json',
  );
  const codes = source.names === 'emoji' ? codePoints(packages, source.package) : new Map<string, string>();
  return Object.keys(collection.icons)
    .sort()
    .flatMap((name) => {
      const icon = collection.icons[name];
      const code = codes.get(name);
      const concept =
        source.names === 'words'
          ? inWords(name)
          : source.names === 'countries'
            ? concepts.flag(name)
            : (code && concepts.byHex(code)) || concepts.byName(name);
      if (icon.hidden || !concept) return [];
      return [{ concept, render: () => renderSvg(svgOf(icon, collection, size), size) }];
    });
}

/** Icon names to code points, where the collection lists them. */
function codePoints(packages: Packages, name: string): Map<string, string> {
  let chars: Record<string, string> = {};
  try {
    chars = packages.json<Record<string, string>>(name, 'chars.json');
  } catch {
    // Some collections have no such list; their icons are named as CLDR names emoji.
  }
  const codes = new Map<string, string>();
  for (const [code, icon] of Object.entries(chars)) if (!codes.has(icon)) codes.set(icon, code);
  return codes;
}

/** A number in [0,1) that depends on the text alone. */
const share = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32;

/** Gathers items into shards; a shard appears when it is complete. */
class ShardWriter {
  readonly #options: EmojiOptions;
  readonly #shards: string[] = [];
  readonly #bySource: Record<string, number> = {};
  readonly #bySplit: Record<string, number> = {};
  #entries: { header: { name: string; size: number; mtime: Date; type: 'file' }; body: Uint8Array }[] = [];
  #count = 0;

  constructor(options: EmojiOptions) {
    this.#options = options;
    mkdirSync(options.out, { recursive: true });
    if (readdirSync(options.out).some((name) => name.endsWith('.tar'))) {
      throw new PaellaError('argument', `${options.out} already holds shards`, {
        fix: 'Name an empty folder.',
      });
    }
  }

  async add({ pixels, captions, ...rest }: Item): Promise<void> {
    const { size, shardSize } = this.#options;
    const key = String(this.#count++).padStart(6, '0');
    const raw = { width: size, height: size, channels: 3 as const };
    const png = await sharp(pixels, { raw }).png({ compressionLevel: 9 }).toBuffer();
    const json = Buffer.from(JSON.stringify({ caption: captions[0], captions, ...rest }));
    for (const [extension, body] of [
      ['png', png],
      ['json', json],
    ] as const) {
      const header = {
        name: `${key}.${extension}`,
        size: body.length,
        mtime: new Date(0),
        type: 'file' as const,
      };
      this.#entries.push({ header, body });
    }
    this.#bySource[rest.source] = (this.#bySource[rest.source] ?? 0) + 1;
    this.#bySplit[rest.split] = (this.#bySplit[rest.split] ?? 0) + 1;
    if (this.#entries.length >= 2 * shardSize) await this.#write();
  }

  async finish(
    credits: readonly { package: string; version: string; licence: string; credit: string }[],
  ): Promise<Omit<EmojiSummary, 'left'>> {
    if (this.#entries.length > 0) await this.#write();
    const { out } = this.#options;
    const lines = credits.map((one) => `- ${one.credit}: ${one.licence} (npm ${one.package} ${one.version})`);
    writeFileSync(
      join(out, 'NOTICE'),
      `The pictures and names of this data set come from:\n\n${lines.join('\n')}\n`,
    );
    const summary = {
      shards: this.#shards.map((name) => join(out, name)),
      images: this.#count,
      bySource: this.#bySource,
      bySplit: this.#bySplit,
    };
    const { size, seed } = this.#options;
    const description = { ...summary, shards: this.#shards, size, seed };
    writeFileSync(join(out, 'dataset.json'), `${JSON.stringify(description, null, 2)}\n`);
    return summary;
  }

  /** Takes back what was written. */
  discard(): void {
    for (const name of this.#shards) rmSync(join(this.#options.out, name), { force: true });
  }

  async #write(): Promise<void> {
    const name = `emoji-${String(this.#shards.length).padStart(5, '0')}.tar`;
    const temporary = join(this.#options.out, `.${name}.tmp`);
    writeFileSync(temporary, await packTar(this.#entries));
    renameSync(temporary, join(this.#options.out, name));
    this.#shards.push(name);
    this.#entries = [];
  }
}
