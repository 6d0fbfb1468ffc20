/** What every command gets: the options that all of them have, the way to the device, and Ctrl-C. */
import { Device, PaellaError, setNoticeHandler } from '@paella/tensor';
import { type Output, createOutput, exitCodes } from './output.js';

export interface CommonOptions {
  adapter: string;
  seed?: number;
  json?: boolean;
  quiet?: boolean;
}

/** What every command that runs a model has, besides. */
export interface ModelOptions extends CommonOptions {
  model: string;
  /** How its large matrices are held on the device. */
  dtype: 'f32' | 'f16';
}

export interface Context {
  /** Processes that work together have one that speaks. */
  out: Output;
  /** Fires at the first Ctrl-C. */
  signal: AbortSignal;
  /** Has another signal ask to stop as the first Ctrl-C does. */
  stopOn(signal: NodeJS.Signals): void;
  /** Throws PaellaError `aborted` once Ctrl-C was pressed. */
  checkInterrupt(): void;
  /**
   * Opens the adapter that was asked for and names it on stderr; it is given back when the command ends.
   *
   * @param ordinal which of several that fit equally well
   */
  openDevice(ordinal?: number): Promise<Device>;
}

/** Runs a command. The first Ctrl-C asks it to stop at the next occasion, the second ends the process. */
export async function withContext(
  options: CommonOptions,
  command: (context: Context) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  const signals: NodeJS.Signals[] = [];
  const devices: Device[] = [];
  const onInterrupt = (): void => {
    if (signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort();
    context.out.note('stopping; press Ctrl-C again to stop at once');
  };
  const context: Context = {
    out: createOutput(options),
    signal,
    stopOn(name) {
      signals.push(name);
      process.on(name, onInterrupt);
    },
    checkInterrupt() {
      if (signal.aborted) throw new PaellaError('aborted', 'stopped');
    },
    async openDevice(ordinal) {
      const device = await Device.create({ adapter: options.adapter, ordinal });
      devices.push(device);
      context.out.note(describeDevice(device));
      return device;
    },
  };
  context.stopOn('SIGINT');
  setNoticeHandler(() => {}); // openDevice says it in its own line
  try {
    await command(context);
  } finally {
    context.out.clear();
    for (const device of devices) device.destroy();
    for (const name of signals) process.off(name, onInterrupt);
  }
}

function describeDevice({ info: { name, isSoftware } }: Device): string {
  return isSoftware ? `${name} (software: computing on the processor)` : name;
}
