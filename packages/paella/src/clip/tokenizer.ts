import { PaellaError } from '@paella/tensor';
import * as v from 'valibot';
import type { Folder } from '../folder.js';
import { isObject } from '../schemas.js';

/** CLIP's byte pairs: the id of every token, and which two tokens merge, the first rule before the others. */
export interface ClipVocabulary {
  vocab: Record<string, number>;
  merges: readonly (readonly [string, string])[];
}

/** Texts to CLIP's ids. */
export interface ClipTokenizer {
  /** `context_length` ids of a text: the start, its tokens as far as they fit, the end, and zeros. */
  encode(text: string): Uint32Array<ArrayBuffer>;
}

/** Where open_clip splits a text before it looks for byte pairs. */
const SPLIT = "'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}]+";

/**
 * The tokenizer of open_clip, by byte pairs (arXiv 1508.07909), whatever form its vocabulary came in. Its libraries are
 * loaded when it is made: they are large, and few models have it.
 *
 * @param vocabulary ends with the ids of the start and the end of a text, under whichever names
 * @param options.contextLength ids of a text
 */
export async function clipTokenizer(
  { vocab, merges }: ClipVocabulary,
  { contextLength = 77 } = {},
): Promise<ClipTokenizer> {
  const [{ Tokenizer }, { cleanText }] = await Promise.all([
    import('@huggingface/tokenizers'),
    import('./clean.js'),
  ]);
  const end = Object.values(vocab).reduce((most, id) => Math.max(most, id), 0);
  const start = end - 1;
  const marks = [
    { id: start, content: '<start_of_text>' },
    { id: end, content: '<end_of_text>' },
  ];
  const rules = {
    added_tokens: marks.map((mark) => ({ ...mark, special: true })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: SPLIT }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: null,
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(Object.entries(vocab).filter(([, id]) => id < start)),
      merges,
      end_of_word_suffix: '</w>',
    },
  };
  const tokenizer = new Tokenizer(rules, {});
  return {
    encode(text) {
      const { ids } = tokenizer.encode(cleanText(text));
      const row = new Uint32Array(contextLength);
      row.set([start, ...ids.slice(0, contextLength - 2), end]);
      return row;
    },
  };
}

/**
 * The tokenizer of a CLIP's folder: `tokenizer.json`, or `vocab.json` with `merges.txt`, as Hugging Face has them, or the
 * list of merges that comes with open_clip's code, `bpe_simple_vocab_16e6.txt.gz`.
 *
 * @throws PaellaError `not-found` if none is there, `format` if it is something else
 */
export async function openClipTokenizer(
  folder: Folder,
  options?: { contextLength?: number },
): Promise<ClipTokenizer> {
  const file = await folder.find(['tokenizer.json', 'vocab.json', OPEN_CLIP_MERGES]);
  if (!file) {
    throw new PaellaError('not-found', `${folder.name} holds no CLIP tokenizer`, {
      fix: `Put tokenizer.json of https://huggingface.co/laion/CLIP-ViT-H-14-laion2B-s32B-b79K there, or open_clip's ${OPEN_CLIP_MERGES}.`,
    });
  }
  return clipTokenizer(await readVocabulary(folder, file), options);
}

const OPEN_CLIP_MERGES = 'bpe_simple_vocab_16e6.txt.gz';

/** The lines after the first of that file that belong to CLIP. */
const MERGES = 48894;

/** Not `v.record`, which leaves some words out that objects have a use for. */
const vocab = v.custom<Record<string, number>>(
  (ids) => isObject(ids) && Object.values(ids).every(Number.isSafeInteger),
  'Expected a whole number for each token',
);
const pair = v.strictTuple([v.string(), v.string()]);
/** As much of a `tokenizer.json` as tells the vocabulary; older ones join a merge's two sides by a space. */
const tokenizerJson = v.object({
  model: v.object({
    vocab,
    merges: v.array(
      v.union([
        pair,
        v.pipe(
          v.string(),
          v.transform((line) => line.split(' ')),
          pair,
        ),
      ]),
    ),
  }),
});

async function readVocabulary(folder: Folder, file: string): Promise<ClipVocabulary> {
  switch (file) {
    case 'tokenizer.json':
      return (await folder.json(file, tokenizerJson)).model;
    case 'vocab.json':
      return { vocab: await folder.json(file, vocab), merges: parseMerges(await folder.text('merges.txt')) };
    default:
      return openClipVocabulary(await unzipped(folder, file));
  }
}

/** A merge a line, after a line that tells the version. */
function parseMerges(text: string): [string, string][] {
  return text
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => line.trimEnd().split(' ') as [string, string]);
}

/** Ids are places: all bytes, all bytes that end a word, the merges' results, start and end. */
function openClipVocabulary(text: string): ClipVocabulary {
  const merges = parseMerges(text).slice(0, MERGES);
  const bytes = byteSymbols();
  const tokens = [
    ...bytes,
    ...bytes.map((symbol) => `${symbol}</w>`),
    ...merges.map((sides) => sides.join('')),
    '<start_of_text>',
    '<end_of_text>',
  ];
  return { vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };
}

/** GPT-2's letters for bytes, in its order: those that print as themselves, then others for the rest. */
function byteSymbols(): string[] {
  const prints = (byte: number): boolean =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte <= 0xff && byte !== 0xad);
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const rest = bytes.filter((byte) => !prints(byte));
  return [...bytes.filter(prints), ...rest.map((_, i) => 256 + i)].map((code) => String.fromCharCode(code));
}

async function unzipped(folder: Folder, file: string): Promise<string> {
  const stream = new Blob([await folder.bytes(file)]).stream().pipeThrough(new DecompressionStream('gzip'));
  try {
    return await new Response(stream).text();
  } catch (cause) {
    throw new PaellaError('format', `${folder.name}: ${file} is not compressed by gzip`, { cause });
  }
}
