import type { ErrorCode } from '@paella/tensor';
import { WorkerCrash } from '../worker-connection.js';

/** What may help: the same again, or with less memory. */
export type Remedy = 'retry' | 'one-by-one';

/** What went wrong, for people. */
export interface Trouble {
  code: ErrorCode | 'crashed' | 'unknown';
  /** What happened. */
  message: string;
  /** What to do about it; '' where nothing needs to be done. */
  advice: string;
  remedies: Remedy[];
}

/** What happened, what to do, and the buttons for it; what an error says itself where a text is missing. */
type Words = [message: string | null, advice: string | null, ...remedies: Remedy[]];

const words: Partial<Record<Trouble['code'], Words>> = {
  unsupported: [null, null],
  'no-adapter': [
    'The browser has WebGPU, but offers no graphics adapter.',
    'Turn on hardware acceleration in the browser’s settings, or update the graphics driver, and try again. ' +
      'Chrome and Edge say at chrome://gpu what they miss.',
    'retry',
  ],
  'not-found': [null, 'Check the connection, and try again.', 'retry'],
  format: [null, null, 'retry'],
  'out-of-memory': [
    'The graphics memory did not suffice, and has been freed.',
    'Draw fewer or smaller pictures, or one after the other, or close other pages and programs that use it.',
    'one-by-one',
    'retry',
  ],
  limits: [null, 'Draw smaller pictures, or one after the other.', 'one-by-one'],
  'device-lost': [
    'The graphics device was lost.',
    'Other programs may be using it up, or its driver is crashing. What was drawn so far is kept; try again when ' +
      'they are closed.',
    'retry',
  ],
  validation: [null, 'This is a bug of the page or of the browser. Trying again may help.', 'retry'],
  crashed: [null, 'What was drawn so far is kept. Try again; if it happens again, reload the page.', 'retry'],
  aborted: ['Stopped.', ''],
  unknown: [null, 'Trying again may help; if it does not, reload the page.', 'retry'],
};

/** What an error that the engine or the page threw means; classes are lost on the way from the worker. */
export function troubleOf(error: unknown): Trouble {
  const said = error instanceof Error ? error.message : String(error);
  const fix = error instanceof Error && 'fix' in error && typeof error.fix === 'string' ? error.fix : '';
  return troubleWith(codeOf(error), said, fix);
}

/** @param said what the error says, and what to do, where there are no plainer words */
export function troubleWith(code: Trouble['code'], said = '', fix = ''): Trouble {
  const [message, advice, ...remedies] = words[code] ?? [null, null];
  return {
    code,
    message: message ?? sentence(fix === '' ? said : said.replace(`. ${fix}`, '')),
    advice: advice ?? sentence(fix),
    remedies,
  };
}

function codeOf(error: unknown): Trouble['code'] {
  if (error instanceof WorkerCrash) return 'crashed';
  if (!(error instanceof Error)) return 'unknown';
  return error.name === 'PaellaError' && 'code' in error ? (error.code as ErrorCode) : 'unknown';
}

/** Errors begin in lower case, unless with the name of a file, and end without a stop. */
const sentence = (text: string): string => {
  const end = text === '' || /[.?!…]$/.test(text) ? '' : '.';
  return text.replace(/^[a-z]+(?=[ ,])/, (word) => word[0].toUpperCase() + word.slice(1)) + end;
};
