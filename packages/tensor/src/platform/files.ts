/** A file being written: nothing is seen under its name before `commit`. */
export interface FileSink {
  write(bytes: Uint8Array): Promise<void>;
  /** Gives the finished file its name, replacing what had it. */
  commit(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}
