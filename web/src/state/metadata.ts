import type { DrawSettings } from '../engine/protocol.js';
import { readPngText } from '../files/client.js';
import { type Recipe, type SubjectText, titleOf } from './recipe.js';

/** The keyword under which a PNG holds its recipe. */
const KEYWORD = 'paella';

/** The texts of a picture's PNG. They are Latin-1 in the format, ASCII here. */
export function metadataOf(recipe: Recipe, date: number): Record<string, string> {
  const { subject, style, settings, index, model, adapter } = recipe;
  const json = JSON.stringify({ subject, style, settings, index, model, adapter });
  return {
    Description: ascii(titleOf(recipe)),
    Software: 'Paella for WebGPU',
    'Creation Time': new Date(date).toUTCString(),
    [KEYWORD]: ascii(json),
  };
}

/** The recipe that a file holds; null if it is no PNG of ours. */
export async function readRecipe(file: Blob): Promise<Recipe | null> {
  try {
    const recipe: unknown = JSON.parse((await readPngText(file))[KEYWORD]);
    return isRecipe(recipe) ? recipe : null;
  } catch {
    return null; // another picture, or another program's
  }
}

/** Whether everything is there that is used; other programs may write what they like. */
function isRecipe(value: unknown): value is Recipe {
  const { subject, style, settings, index, model, adapter } = (value ?? {}) as Partial<Recipe>;
  return (
    isSubject(subject) &&
    isSettings(settings) &&
    typeof index === 'number' &&
    [style, model, adapter].every((text) => typeof text === 'string')
  );
}

function isSubject(value: SubjectText | undefined): boolean {
  if (typeof value?.kind !== 'string') return false;
  return value.kind === 'interpolate'
    ? typeof value.from === 'string' && typeof value.to === 'string' && isNumber(value.frames)
    : typeof value.prompt === 'string' && isNumber(value.count);
}

function isSettings(value: DrawSettings | undefined): boolean {
  if (!value) return false;
  const { seed, size, negative, steps, renoiseSteps, temperature, cfg } = value;
  return (
    [seed, steps, renoiseSteps, cfg].every(isNumber) &&
    [size, temperature].every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isNumber)) &&
    typeof negative === 'string'
  );
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** JSON's escapes for what is not ASCII. */
function ascii(text: string): string {
  return text.replace(/[^\n\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
