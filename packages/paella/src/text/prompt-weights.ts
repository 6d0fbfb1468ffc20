import { PaellaError } from '@paella/tensor';

/** A part of a text, from `start` up to `end`, in UTF-16 code units as in `String.slice`. */
export interface Span {
  start: number;
  end: number;
}

export interface WeightedSpan extends Span {
  weight: number;
}

/** A prompt without its weights, and where they belong. */
export interface WeightedPrompt {
  text: string;
  /** In order, without overlap; what no span covers has weight 1. */
  spans: WeightedSpan[];
}

const WEIGHT = /:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*$/;

/**
 * Reads the weights in a prompt: `a (red:1.4) apple` gives "red" 1.4 times the attention it would get. Inside of each
 * other they multiply. Parentheses without a weight are text, and so are those behind a backslash: `\(12:30\)`.
 *
 * @throws PaellaError `argument` for a weight below 0
 */
export function parsePromptWeights(prompt: string): WeightedPrompt {
  // First which parentheses hold a weight, then the text without them.
  const factors = new Map<number, number>(); // by the parenthesis that opens
  const closing = new Set<number>();
  const dropped = new Set<number>();
  const open: number[] = [];
  for (let i = 0; i < prompt.length; i++) {
    if (isEscape(prompt, i)) {
      dropped.add(i++);
    } else if (prompt[i] === '(') {
      open.push(i);
    } else if (prompt[i] === ')' && open.length > 0) {
      const start = open.pop()!;
      const match = WEIGHT.exec(prompt.slice(start + 1, i));
      if (!match) continue;
      const weight = Number(match[1]);
      if (weight < 0) {
        throw new PaellaError('argument', `the weight of "${prompt.slice(start, i + 1)}" is below 0`, {
          fix: 'Give a number from 0 on, or write \\( and \\) for parentheses that are text.',
        });
      }
      factors.set(start, weight);
      closing.add(i);
      dropped.add(start);
      for (let k = start + 1 + match.index; k <= i; k++) dropped.add(k);
    }
  }

  let text = '';
  const spans: WeightedSpan[] = [];
  const inside: number[] = [];
  for (let i = 0; i < prompt.length; i++) {
    if (factors.has(i)) inside.push(factors.get(i)!);
    if (closing.has(i)) inside.pop();
    if (dropped.has(i)) continue;
    const weight = inside.reduce((product, factor) => product * factor, 1);
    const last = spans.at(-1);
    if (last?.end === text.length && last.weight === weight) last.end++;
    else if (weight !== 1) spans.push({ start: text.length, end: text.length + 1, weight });
    text += prompt[i];
  }
  return { text, spans };
}

/**
 * Attention factors of a text encoder's tokens (`ConditionInputs.attnWeights`, after the softmax and not renormalised).
 * A token that is weighted in part gets the mean over its characters.
 *
 * @param tokens where each token comes from, as the encoder's `spans` tells
 * @returns one factor a token, or undefined where all are 1
 */
export function tokenWeights(
  tokens: readonly Span[],
  weighted: readonly WeightedSpan[],
): number[] | undefined {
  if (weighted.length === 0) return undefined;
  return tokens.map(({ start, end }) => {
    let extra = 0;
    for (const span of weighted) {
      const shared = Math.min(end, span.end) - Math.max(start, span.start);
      if (shared > 0) extra += (shared / (end - start)) * (span.weight - 1);
    }
    return 1 + extra;
  });
}

const isEscape = (text: string, i: number): boolean =>
  text[i] === '\\' && (text[i + 1] === '(' || text[i + 1] === ')');
