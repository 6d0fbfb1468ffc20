import type { ErrorCode } from '@paella/tensor';

/** What went wrong, for people. */
export interface Trouble {
  code: ErrorCode | 'unknown';
  /** Says what happened, and what to do. */
  message: string;
}

/** What an error that the engine or the page threw means; its class is lost on the way from the worker. */
export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof Error)) return { code: 'unknown', message: String(error) };
  const { message, name } = error;
  const code = 'code' in error && name === 'PaellaError' ? (error.code as ErrorCode) : 'unknown';
  return { code, message };
}
