/** What a command says: results on stdout, everything else on stderr. */
import { PaellaError } from '@paella/tensor';
import { isatty } from 'node:tty';
import pc from 'picocolors';

/** Colours for stderr, which may be a terminal where stdout is a pipe. */
const color = pc.createColors(pc.isColorSupported && isatty(2));

export interface Output {
  /** The result: one JSON object with `--json`, else `lines` as they are. */
  result(json: object, lines: readonly string[]): void;
  /** Something to know while waiting, on stderr; nothing with `--quiet`. */
  note(text: string): void;
  /** Work under way: a bar that is redrawn on a terminal, nothing elsewhere. */
  progress(label: string, done: number, total: number): void;
  /** Says what went wrong, as {@link reportError}, and returns the exit code. */
  failure(error: unknown): number;
  /** Removes the bar. */
  clear(): void;
}

const barWidth = 24;
const redrawInterval = 50; // milliseconds

/** @param options `quiet` keeps stderr empty unless something fails */
export function createOutput({ json, quiet }: { json?: boolean; quiet?: boolean }): Output {
  const { stdout, stderr } = process;
  const hasBar = stderr.isTTY && !quiet;
  let isDrawn = false;
  let drawnAt = 0;
  const clear = (): void => {
    if (isDrawn) stderr.write('\r\x1b[2K');
    isDrawn = false;
  };
  return {
    clear,
    result(object, lines) {
      clear();
      const text = json ? JSON.stringify(object) : lines.join('\n');
      if (text) stdout.write(`${text}\n`);
    },
    failure(error) {
      clear();
      return reportError(error, { json: json ?? false });
    },
    note(text) {
      if (quiet) return;
      clear();
      stderr.write(`${color.dim(text)}\n`);
    },
    progress(label, done, total) {
      const now = performance.now();
      if (!hasBar || (done > 0 && done < total && now - drawnAt < redrawInterval)) return;
      drawnAt = now;
      const filled = Math.round((done / total) * barWidth);
      const bar = color.cyan('█'.repeat(filled)) + color.dim('░'.repeat(barWidth - filled));
      stderr.write(`\r\x1b[2K${bar} ${label} ${done}/${total}`);
      isDrawn = true;
    },
  };
}

/** How a command ended, for scripts. */
export const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/**
 * Says what went wrong: `error: …` on stderr, and with `--json` the object `{ error: { code, message, fix } }` on
 * stdout, where a script looks for its answer.
 *
 * @returns the exit code
 */
export function reportError(error: unknown, { json }: { json: boolean }): number {
  const known = error instanceof PaellaError ? error : undefined;
  const code = known?.code ?? 'internal';
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${color.red('error:')} ${message}\n`);
  if (!known) {
    // A bug of ours, or of the system: what happened where is all there is to go by.
    if (error instanceof Error && error.stack) process.stderr.write(`${color.dim(error.stack)}\n`);
  }
  if (json) writeError(code, message, known?.fix);
  return exitCodeOf(error);
}

/** What a command that failed ends with. */
export function exitCodeOf(error: unknown): number {
  const code = error instanceof PaellaError ? error.code : undefined;
  if (code === 'aborted') return exitCodes.interrupted;
  return code === 'argument' ? exitCodes.usage : exitCodes.failure;
}

/** Ends a command of whose failure everything is said. */
export class Told extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('told');
    this.exitCode = exitCode;
  }
}

/** The one JSON object of a command that failed. */
export function writeError(code: string, message: string, fix?: string): void {
  process.stdout.write(`${JSON.stringify({ error: { code, message, ...(fix && { fix }) } })}\n`);
}
