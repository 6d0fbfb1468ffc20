/** Faces whose every part is known, so that captions can say what is to be seen. */
import { pathToFileURL } from 'node:url';
import { type AvatarStyle, avatarStyles } from './avatar-styles.js';
import { type Dice, type Scene, colours } from './compose.js';
import type { Packages } from './packages.js';
import { backdrop, draw, renderSvg } from './render.js';
import { avatarCore, avatarSource, isPermissive } from './sources.js';

interface DiceBear {
  createAvatar: (style: unknown, options: Record<string, unknown>) => { toString(): string };
}

const backgrounds = ['white', 'blue', 'green', 'yellow', 'pink', 'red', 'purple', 'gray'] as const;

/**
 * Draws avatars of the styles of {@link avatarStyles}.
 *
 * @param strictLicences only of those in the public domain
 */
export async function openAvatars(
  packages: Packages,
  strictLicences: boolean,
): Promise<(dice: Dice, size: number) => Promise<Scene>> {
  const load = (name: string): Promise<unknown> =>
    import(pathToFileURL(packages.path(name, 'lib', 'index.js')).href);
  const { createAvatar } = (await load(avatarCore.package)) as DiceBear;
  const collection = (await load(avatarSource.package)) as Record<string, unknown>;
  const styles = avatarStyles.filter(({ licence }) => !strictLicences || isPermissive(licence));
  return async (dice, size) => {
    const style = dice.pick(styles);
    const background = dice.pick(backgrounds);
    const { options, parts, mood } = choose(style, dice);
    const avatar = createAvatar(collection[style.name], {
      seed: String(dice.whole(2 ** 24)),
      size: 2 * size,
      ...options,
    });
    const backdropOf = backdrop(size, colours[background]);
    const pixels = draw(backdropOf, size, await renderSvg(avatar.toString(), size), 0, 0);
    const last = parts.pop()!;
    const described = `${style.words} with ${parts.join(', ')} and ${last}`;
    return {
      pixels,
      captions: [
        [described, ...mood, `${background} background`].join(', '),
        [`face with ${parts[0]}`, ...mood].join(', '),
      ],
      tags: ['face', style.words, ...parts, last, ...mood],
      licence: style.licence,
    };
  };
}

/** Chooses every part that has words, so that DiceBear's seed decides only what has none. */
function choose(
  style: AvatarStyle,
  dice: Dice,
): { options: Record<string, unknown>; parts: string[]; mood: string[] } {
  const options: Record<string, unknown> = {};
  for (const option of style.without) options[`${option}Probability`] = 0;
  const pickColour = (colour: AvatarStyle['skin'] | null): string => {
    if (!colour) return '';
    const [name, hex] = dice.pick(Object.entries(colour.values));
    options[colour.option] = [hex];
    return name;
  };
  const pickPart = ({ option, words, chance = 1 }: AvatarStyle['hair']): string[] => {
    const isThere = dice.number() < chance;
    const [value, said] = dice.pick(Object.entries(words));
    options[option] = [value];
    if (chance < 1) options[`${option}Probability`] = isThere ? 100 : 0;
    return isThere && said ? [said] : [];
  };
  const hairColour = pickColour(style.hairColour);
  const parts = pickPart(style.hair).map((words) => words.replace('$', hairColour));
  parts.push(...style.has.flatMap(pickPart), `${pickColour(style.skin)} skin`);
  if (style.clothes) parts.push(`${pickColour(style.clothes)} clothes`);
  return { options, parts, mood: style.mood.flatMap(pickPart) };
}
