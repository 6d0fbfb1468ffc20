/** Scenes that teach what single emoji do not: colours of backgrounds, places, two things and how they stand. */
import type { Rng } from '@paella/tensor';
import { type Icon, type Sprite, backdrop, draw, renderSvg, scale, svgOf } from './render.js';

/** A picture and what it shows. */
export interface Scene {
  pixels: Uint8Array;
  caption: string;
}

/** Something to draw: its words and its picture. */
export interface Subject {
  name: string;
  sprite(): Promise<Sprite>;
}

const colours: Record<string, readonly number[]> = {
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
};

const places: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['in the night sky', [8, 10, 40], [40, 40, 90]],
  ['at sunset', [250, 120, 60], [255, 210, 120]],
  ['in the blue sky', [90, 170, 250], [210, 235, 255]],
  ['under water', [30, 120, 190], [5, 50, 110]],
  ['on the grass', [190, 230, 250], [80, 170, 70]],
];

const white = [255, 255, 255];

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
      this.#numbers = this.#rng.uniformArray(256);
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

/** A random scene of the subjects. */
export async function composeScene(
  dice: Dice,
  subjects: readonly Subject[],
  silhouettes: readonly (readonly [string, Icon])[],
  defaults: Partial<Icon>,
  size: number,
): Promise<Scene> {
  const kind = dice.number();
  const subject = dice.pick(subjects);
  if (kind < 0.3) {
    const [colour, rgb] = dice.pick(Object.entries(colours));
    const side = Math.round(size * (0.6 + 0.38 * dice.number()));
    const at = () => dice.whole(size - side + 1);
    const pixels = draw(backdrop(size, rgb), size, await scale(await subject.sprite(), side), at(), at());
    return { pixels, caption: `${subject.name} on a ${colour} background` };
  }
  if (kind < 0.55) {
    const other = dice.pick(subjects);
    const half = Math.floor(size / 2) - 1;
    const middle = Math.floor((size - half) / 2);
    const [first, second] = [
      await scale(await subject.sprite(), half),
      await scale(await other.sprite(), half),
    ];
    const above = dice.number() < 0.5;
    const pixels = backdrop(size, white);
    draw(pixels, size, first, above ? middle : 0, above ? 0 : middle);
    draw(pixels, size, second, above ? middle : size - half, above ? size - half : middle);
    const how = above ? 'above' : 'to the left of';
    return { pixels, caption: `${subject.name} ${how} ${other.name}` };
  }
  if (kind < 0.8 || silhouettes.length === 0) {
    const [place, top, bottom] = dice.pick(places);
    const side = Math.round(size * (0.45 + 0.45 * dice.number()));
    const x = dice.whole(size - side + 1);
    const y = place === 'on the grass' ? size - side : dice.whole(size - side + 1);
    const pixels = draw(backdrop(size, top, bottom), size, await scale(await subject.sprite(), side), x, y);
    return { pixels, caption: `${subject.name} ${place}` };
  }
  const [name, icon] = dice.pick(silhouettes);
  const [colour, rgb] = dice.pick(Object.entries(colours));
  const sprite = await renderSvg(svgOf(icon, defaults, size, `rgb(${rgb.join()})`), size);
  const pixels = draw(backdrop(size, white), size, sprite, 0, 0);
  return { pixels, caption: `${colour} silhouette of ${name.replace(/-/g, ' ')}` };
}
