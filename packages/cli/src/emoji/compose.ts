/** Scenes that teach what single emoji do not: colours of backgrounds, sizes, places, two things and how they stand. */
import type { Rng } from '@paella/tensor';
import { inSentence, withArticle } from './captions.js';
import { type Icon, type Sprite, backdrop, draw, renderSvg, scale, svgOf } from './render.js';

/** A picture and what it shows. */
export interface Scene {
  pixels: Uint8Array;
  /** The main one first. */
  captions: string[];
  tags: string[];
  licence: string;
}

/** Something to draw: its words and its picture. */
interface Subject {
  name: string;
  group: string;
  licence: string;
  sprite(): Promise<Sprite>;
}

/** What scenes are made of. */
export interface Stock {
  subjects: readonly Subject[];
  silhouettes: { icons: readonly (readonly [string, Icon])[]; defaults: Partial<Icon>; licence: string };
}

export const colours = {
  white: [255, 255, 255],
  red: [226, 60, 50],
  orange: [245, 145, 40],
  yellow: [252, 215, 70],
  green: [70, 170, 80],
  blue: [60, 120, 220],
  purple: [130, 80, 190],
  pink: [250, 160, 200],
  black: [20, 20, 24],
  gray: [150, 150, 155],
  brown: [120, 80, 50],
} as const satisfies Record<string, readonly number[]>;

type ColourName = keyof typeof colours;
const colourNames = Object.keys(colours) as ColourName[];
const tints = colourNames.filter((name) => name !== 'white');

const places: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['in the night sky', [8, 10, 40], [40, 40, 90]],
  ['at sunset', [250, 120, 60], [255, 210, 120]],
  ['in the blue sky', [90, 170, 250], [210, 235, 255]],
  ['under water', [30, 120, 190], [5, 50, 110]],
  ['on the grass', [190, 230, 250], [80, 170, 70]],
];

/** Left upper corners as shares of the free space. */
const corners: readonly (readonly [string, number, number])[] = [
  ['in the top left corner', 0, 0],
  ['in the top right corner', 1, 0],
  ['in the bottom left corner', 0, 1],
  ['in the bottom right corner', 1, 1],
  ['in the middle', 0.5, 0.5],
];

const relations = [
  { words: 'above', reverse: 'below', upright: true },
  { words: 'to the left of', reverse: 'to the right of', upright: false },
  { words: 'next to', reverse: 'next to', upright: false },
] as const;

/** Picks and numbers from a generator. */
export class Dice {
  readonly #rng: Rng;
  #numbers = new Float32Array(0);
  #used = 0;

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** In [0,1). */
  number(): number {
    if (this.#used === this.#numbers.length) {
      this.#numbers = this.#rng.uniformArray(32);
      this.#used = 0;
    }
    return this.#numbers[this.#used++];
  }

  whole(below: number): number {
    return Math.floor(this.number() * below);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.whole(items.length)];
  }
}

/** A random scene. */
export function composeScene(dice: Dice, stock: Stock, size: number): Promise<Scene> {
  const kind = dice.number();
  if (kind < 0.25) return onColour(dice, stock, size);
  if (kind < 0.37) return onGradient(dice, stock, size);
  if (kind < 0.52) return atPlace(dice, stock, size);
  if (kind < 0.62) return inCorner(dice, stock, size);
  if (kind < 0.84 || stock.silhouettes.icons.length === 0) return twoThings(dice, stock, size);
  return silhouette(dice, stock, size);
}

/** The subject at some share of the picture's side, its corner at shares of the space that this leaves. */
async function place(
  pixels: Uint8Array,
  size: number,
  subject: Subject,
  share: number,
  x: number,
  y: number,
): Promise<void> {
  const side = Math.round(size * share);
  const free = size - side;
  draw(pixels, size, await scale(await subject.sprite(), side), Math.round(free * x), Math.round(free * y));
}

/** Caption and the same with articles. */
function sceneOf(
  pixels: Uint8Array,
  subjects: readonly Subject[],
  say: (...names: string[]) => string[],
): Scene {
  const captions = [
    ...say(...subjects.map(({ name }) => name)),
    ...say(...subjects.map((subject) => inSentence(subject))),
  ];
  const licence = [...new Set(subjects.map((subject) => subject.licence))].sort().join(' and ');
  return { pixels, captions: [...new Set(captions)], tags: subjects.map(({ name }) => name), licence };
}

async function onColour(dice: Dice, { subjects }: Stock, size: number): Promise<Scene> {
  const [subject, colour] = [dice.pick(subjects), dice.pick(tints)];
  const pixels = backdrop(size, colours[colour]);
  await place(pixels, size, subject, 0.6 + 0.38 * dice.number(), dice.number(), dice.number());
  return sceneOf(pixels, [subject], (name) => [`${name} on ${withArticle(colour)} background`]);
}

async function onGradient(dice: Dice, { subjects }: Stock, size: number): Promise<Scene> {
  const [subject, top] = [dice.pick(subjects), dice.pick(colourNames)];
  const bottom = dice.pick(colourNames.filter((name) => name !== top));
  const pixels = backdrop(size, colours[top], colours[bottom]);
  await place(pixels, size, subject, 0.55 + 0.4 * dice.number(), dice.number(), dice.number());
  return sceneOf(pixels, [subject], (name) => [`${name} on ${withArticle(top)} to ${bottom} gradient`]);
}

async function atPlace(dice: Dice, { subjects }: Stock, size: number): Promise<Scene> {
  const [subject, [where, top, bottom]] = [dice.pick(subjects), dice.pick(places)];
  const pixels = backdrop(size, top, bottom);
  const y = where === 'on the grass' ? 1 : dice.number();
  await place(pixels, size, subject, 0.45 + 0.45 * dice.number(), dice.number(), y);
  return sceneOf(pixels, [subject], (name) => [`${name} ${where}`]);
}

async function inCorner(dice: Dice, { subjects }: Stock, size: number): Promise<Scene> {
  const [subject, [where, x, y], colour] = [dice.pick(subjects), dice.pick(corners), dice.pick(colourNames)];
  const pixels = backdrop(size, dice.number() < 0.5 ? colours.white : colours[colour]);
  await place(pixels, size, subject, 0.35 + 0.13 * dice.number(), x, y);
  return sceneOf(pixels, [subject], (name) => {
    const thing = /^an? (.*)$/.exec(name)?.[1];
    return [`${thing ? `a small ${thing}` : `small ${name}`} ${where}`];
  });
}

async function twoThings(dice: Dice, { subjects }: Stock, size: number): Promise<Scene> {
  const first = dice.pick(subjects);
  // Two pictures of one thing would make the words mean nothing.
  let second = dice.pick(subjects);
  for (let i = 0; i < 8 && second.name === first.name; i++) second = dice.pick(subjects);
  const relation = dice.pick(relations);
  const isWhite = dice.number() < 0.5;
  const colour = dice.pick(tints);
  const pixels = backdrop(size, isWhite ? colours.white : colours[colour]);
  const at = relation.upright ? ([0.5, 0, 0.5, 1] as const) : ([0, 0.5, 1, 0.5] as const);
  await place(pixels, size, first, 0.48, at[0], at[1]);
  await place(pixels, size, second, 0.48, at[2], at[3]);
  const ground = isWhite ? '' : ` on ${withArticle(colour)} background`;
  return sceneOf(pixels, [first, second], (one, other) => [
    `${one} ${relation.words} ${other}${ground}`,
    `${other} ${relation.reverse} ${one}${ground}`,
    `${one} and ${other}${ground}`,
  ]);
}

async function silhouette(dice: Dice, { silhouettes }: Stock, size: number): Promise<Scene> {
  const { icons, defaults, licence } = silhouettes;
  const [[id, icon], colour] = [dice.pick(icons), dice.pick(tints)];
  const ground = dice.number() < 0.5 ? 'white' : dice.pick(colourNames.filter((name) => name !== colour));
  const sprite = await renderSvg(svgOf(icon, defaults, size, `rgb(${colours[colour].join()})`), size);
  const pixels = draw(backdrop(size, colours[ground]), size, sprite, 0, 0);
  const name = id.replace(/-/g, ' ');
  const where = ground === 'white' ? '' : ` on ${withArticle(ground)} background`;
  return {
    pixels,
    captions: [`${colour} silhouette of ${name}${where}`, `${colour} ${name}${where}`],
    tags: [name, 'silhouette'],
    licence,
  };
}
