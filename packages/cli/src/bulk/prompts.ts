/** Prompt files: a JSON object a line. */
import { PaellaError } from '@paella/tensor';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import { reason } from '../files.js';
import { anyObject, finite, whole } from '../schemas.js';
import type { Failure } from './folder.js';

const line = v.pipe(
  anyObject,
  v.looseObject({
    prompt: v.string(),
    negative: v.optional(v.string()),
    seed: v.optional(whole),
    id: v.optional(v.union([v.string(), finite])),
  }),
);

/** What a line says: what to draw, and whatever else should be written beside the picture. */
export type PromptLine = v.InferOutput<typeof line>;

export interface PromptFile {
  /** By line from 0. Empty lines have no entry, and neither have those that were passed over. */
  lines: (PromptLine | undefined)[];
  /** By line: what is wrong with it. */
  failed: Map<number, Failure>;
  /** Of the file's bytes. */
  sha256: string;
}

/** What is written into an item's JSON here, which a line must not say. */
const reserved = ['index', 'model', 'settings'] as const;

/**
 * Reads all lines before the first picture is drawn, so that trouble shows at once.
 *
 * @param options.skipBadLines pass lines over that are not as they should be, instead of stopping
 * @throws PaellaError `not-found` if there is no such file, `format` for a bad line, with its number, or without a line
 */
export async function readPrompts(
  path: string,
  { skipBadLines = false }: { skipBadLines?: boolean } = {},
): Promise<PromptFile> {
  const hash = createHash('sha256');
  const lines: PromptFile['lines'] = [];
  const failed: PromptFile['failed'] = new Map();
  const stream = createReadStream(path);
  stream.on('data', (chunk) => hash.update(chunk));
  try {
    for await (const text of createInterface({ input: stream, crlfDelay: Infinity })) {
      const index = lines.length;
      const parsed = parseLine(index === 0 ? text.replace(/^\uFEFF/, '') : text);
      lines.push(typeof parsed === 'object' ? parsed : undefined);
      if (typeof parsed === 'string') {
        if (!skipBadLines) throw badLine(path, index, parsed);
        failed.set(index, { name: `line ${index + 1}`, reason: parsed });
      }
    }
  } catch (cause) {
    if (cause instanceof PaellaError) throw cause;
    throw new PaellaError('not-found', `${path} cannot be read: ${reason(cause)}`, { cause });
  }
  while (lines.length > 0 && lines.at(-1) === undefined && !failed.has(lines.length - 1)) lines.pop();
  if (!lines.some(Boolean)) throw new PaellaError('format', `${path} holds no prompts`, { fix: expected });
  return { lines, failed, sha256: hash.digest('hex') };
}

const expected = 'Every line is an object such as {"prompt": "a red apple"}.';

const badLine = (path: string, index: number, what: string): PaellaError =>
  new PaellaError('format', `${path}, line ${index + 1}: ${what}`, {
    fix: `${expected} --skip-bad-lines passes over others.`,
  });

/** @returns the line, what is wrong with it, or undefined if it is empty */
function parseLine(text: string): PromptLine | string | undefined {
  if (text.trim() === '') return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return `it is not JSON: ${reason(error)}`;
  }
  const parsed = v.safeParse(line, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const place = v.getDotPath(issue);
    return place === null ? issue.message : `${place}: ${issue.message}`;
  }
  const taken = reserved.find((key) => key in parsed.output);
  return taken ? `'${taken}' is written by this command; call it something else` : parsed.output;
}
