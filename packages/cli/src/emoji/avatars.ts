/** Faces whose every part is known, so that captions can say what is to be seen. */
import { pathToFileURL } from 'node:url';
import type { Dice, Scene } from './compose.js';
import type { Packages } from './packages.js';
import { backdrop, draw, renderSvg } from './render.js';

interface DiceBear {
  createAvatar(
    style: unknown,
    options: Record<string, unknown>,
  ): { toString(): string; toJson(): { extra: Record<string, unknown> } };
}

const backgrounds: Record<string, string> = {
  blue: '3c78dc',
  green: '46aa50',
  yellow: 'fcd746',
  pink: 'faa0c8',
  white: 'ffffff',
};
const hairs: Record<string, string> = {
  black: '1c1714',
  brown: '6b4423',
  blond: 'e8c468',
  red: 'c0492b',
  gray: 'a9a9a9',
  blue: '3b6fd8',
};
const clothes: Record<string, string> = {
  red: 'd94a3d',
  blue: '3f6fd1',
  green: '4a9d57',
  yellow: 'f0c541',
  black: '26262a',
};
const skins: Record<string, string> = { light: 'f6d3b3', tan: 'd9a066', brown: '9c6238', dark: '5e3a22' };

/** Draws avatars of two styles whose licences allow it. */
export async function openAvatars(packages: Packages): Promise<(dice: Dice, size: number) => Promise<Scene>> {
  const load = (name: string): Promise<unknown> =>
    import(pathToFileURL(packages.path(name, 'lib', 'index.js')).href);
  const { createAvatar } = (await load('@dicebear/core')) as DiceBear;
  const { pixelArt, personas } = (await load('@dicebear/collection')) as Record<string, unknown>;
  const styles = [
    { style: pixelArt, words: 'pixel art portrait' },
    { style: personas, words: 'flat portrait' },
  ];
  return async (dice, size) => {
    const { style, words } = dice.pick(styles);
    const [background, backgroundHex] = dice.pick(Object.entries(backgrounds));
    const [hair, hairHex] = dice.pick(Object.entries(hairs));
    const [clothing, clothingHex] = dice.pick(Object.entries(clothes));
    const [skin, skinHex] = dice.pick(Object.entries(skins));
    const glasses = dice.number() < 0.3;
    const beard = dice.number() < 0.25;
    const avatar = createAvatar(style, {
      seed: String(dice.whole(2 ** 30)),
      size: 2 * size,
      hairColor: [hairHex],
      clothingColor: [clothingHex],
      skinColor: [skinHex],
      glassesProbability: glasses ? 100 : 0,
      beardProbability: beard ? 100 : 0,
      facialHairProbability: beard ? 100 : 0,
      hatProbability: 0,
    });
    const { extra } = avatar.toJson();
    const parts = [`${hair} hair`, `${skin} skin`, `${clothing} clothes`];
    if (glasses && extra.glasses) parts.push('glasses');
    if (beard && (extra.beard ?? extra.facialHair)) parts.push('a beard');
    const rgb = [0, 2, 4].map((at) => parseInt(backgroundHex.slice(at, at + 2), 16));
    const pixels = draw(backdrop(size, rgb), size, await renderSvg(avatar.toString(), size), 0, 0);
    const last = parts.pop()!;
    return { pixels, caption: `${words} with ${parts.join(', ')} and ${last}, ${background} background` };
  };
}
