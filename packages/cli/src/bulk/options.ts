/** Options of the commands for bulk work. */
import { type Command, Option } from 'commander';
import * as parse from '../options.js';
import { type Shard, parseShard } from './shard.js';

export interface BulkOptions {
  shard: Shard;
  batch: number;
  shardSize: number;
}

/** `generate --prompts` */
export function addBulkGenerateOptions(command: Command): Command {
  command
    .optionsGroup('Many prompts:')
    .addOption(
      new Option(
        '--prompts <file.jsonl>',
        'a line a prompt; --out is a folder of tars, --seed 0 by default',
      ).conflicts(['grid', 'animate', 'region', 'ramp', 'to']),
    )
    .option('--skip-bad-lines', 'pass lines over that hold no prompt, instead of stopping');
  return addBulkOptions(command, { batch: 8, shardSize: 256 });
}

/** `encode --data` */
export function addBulkEncodeOptions(command: Command): Command {
  command
    .optionsGroup('Many pictures:')
    .option('--data <source>', 'a folder of pictures, WebDataset shards, or URLs; --out is a folder of tars');
  return addBulkOptions(command, { batch: 32, shardSize: 1000 });
}

function addBulkOptions(command: Command, { batch, shardSize }: Omit<BulkOptions, 'shard'>): Command {
  return command
    .addOption(
      new Option('--shard <i/n>', "do share i of n, from 0: 3/8, or 'auto' as the scheduler says, or auto/8")
        .argParser((text: string) => parseShard(text))
        .default({ index: 0, count: 1 } satisfies Shard, '0/1'),
    )
    .option('--batch <n>', 'pictures computed together', parse.wholeNumber(1), batch)
    .option(
      '--shard-size <n>',
      'pictures in a tar, which is what a process works on',
      parse.wholeNumber(1),
      shardSize,
    );
}

/**
 * Tells a command for one thing from that for many, since either its argument or an option is needed.
 *
 * @param one the argument's name and value
 * @param many the option's name and value
 * @returns whether it is for many
 * @throws commander's error, which ends in exit code 2, for both, for neither, and for options that go with the other
 */
export function isBulk(
  command: Command,
  one: readonly [name: string, value: string | undefined],
  many: readonly [flag: string, value: string | undefined],
): boolean {
  const refuse = (message: string): never => command.error(`error: ${message}`);
  if (many[1] !== undefined) {
    if (one[1] !== undefined)
      refuse(`${many[0]} takes the place of the argument '${one[0]}': pass one of them`);
    if (command.getOptionValue('out') === undefined) refuse(`${many[0]} needs --out, a folder for the tars`);
    return true;
  }
  if (one[1] === undefined) refuse(`missing required argument '${one[0]}', or ${many[0]}`);
  const stray = command.options.find(
    (option) => bulkOnly.has(option.attributeName()) && isGiven(command, option),
  );
  if (stray) refuse(`${stray.long ?? ''} goes with ${many[0]}`);
  return false;
}

const bulkOnly = new Set(['shard', 'batch', 'shardSize', 'skipBadLines']);

const isGiven = (command: Command, option: Option): boolean =>
  command.getOptionValueSource(option.attributeName()) === 'cli';
