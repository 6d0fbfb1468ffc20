/** Pictures as tokens in files: JSON to read and edit, safetensors for other programs. */
import { PaellaError, loadStateDict, saveSafetensors } from '@paella/tensor';
import { readFileSync } from 'node:fs';
import { reason, writeResult } from './files.js';

/** Tokens of pictures of one size, row by row, picture by picture. */
export interface TokenGrids {
  /** Pictures, and their height and width in tokens. */
  shape: [number, number, number];
  tokens: Uint32Array;
}

export const tokenExtensions = ['.json', '.safetensors'] as const;

/** The rows of one picture, as `tokens` of a JSON file has them. */
export function tokenRows({ shape: [, height, width], tokens }: TokenGrids): number[][] {
  return Array.from({ length: height }, (_, y) => [...tokens.subarray(y * width, (y + 1) * width)]);
}

/** Writes the tokens of one picture; the name decides the format. */
export async function writeTokens(path: string, grid: TokenGrids): Promise<void> {
  const [, height, width] = grid.shape;
  if (path.toLowerCase().endsWith('.json')) {
    const rows = tokenRows(grid).map((row) => `    [${row.join(', ')}]`);
    const text = `{\n  "width": ${width},\n  "height": ${height},\n  "tokens": [\n${rows.join(',\n')}\n  ]\n}\n`;
    writeResult(path, text);
    return;
  }
  // PyTorch's type for indices.
  const data = BigInt64Array.from(grid.tokens, BigInt);
  await saveSafetensors(path, [['tokens', { shape: [height, width], data }]]);
}

/**
 * Reads `{ "tokens": [[…], …] }` or the array alone, or a safetensors file with a tensor `tokens`: of one
 * picture, `[H,W]`, or of several, `[B,H,W]`.
 *
 * @param limit tokens must be below it: the size of the codebook
 * @throws PaellaError `not-found`, or `format` if it holds anything else
 */
export async function readTokens(path: string, limit: number): Promise<TokenGrids> {
  const { shape, values } = path.toLowerCase().endsWith('.json')
    ? readJson(path)
    : await readSafetensors(path);
  const grid = shape.length === 2 ? [1, ...shape] : shape;
  const outside = values.find((value) => !Number.isInteger(value) || value < 0 || value >= limit);
  if (outside !== undefined) {
    throw wrong(path, `tokens of this model are whole numbers below ${limit}, found ${String(outside)}`);
  }
  if (grid.length !== 3 || values.length === 0 || grid[0] * grid[1] * grid[2] !== values.length) {
    throw wrong(path, `expected rows of equal length, found an array of shape [${shape.join(',')}]`);
  }
  return { shape: [grid[0], grid[1], grid[2]], tokens: Uint32Array.from(values) };
}

interface Numbers {
  shape: number[];
  values: number[];
}

function readJson(path: string): Numbers {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new PaellaError('not-found', `${path} cannot be read: ${reason(cause)}`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw wrong(path, `it is not JSON: ${reason(cause)}`);
  }
  const array: unknown = Array.isArray(json) ? json : (json as { tokens?: unknown } | null)?.tokens;
  const shape: number[] = [];
  for (let part = array; Array.isArray(part); part = part[0]) shape.push(part.length);
  const values = Array.isArray(array) ? (array.flat(Infinity) as number[]) : [];
  return { shape, values };
}

async function readSafetensors(path: string): Promise<Numbers> {
  const state = await loadStateDict(path);
  if (!state.keys().includes('tokens')) throw wrong(path, 'it holds no tensor named tokens');
  const { shape, data } = await state.get('tokens');
  await state.close?.();
  return { shape, values: Array.from(data as ArrayLike<number | bigint>, Number) };
}

const wrong = (path: string, message: string): PaellaError =>
  new PaellaError('format', `${path} is no token file: ${message}`, {
    fix: "Make one with 'paella encode'",
  });
