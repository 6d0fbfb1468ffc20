import { type Command, Option } from 'commander';
import type { Preset } from 'paella';
import * as parse from './options.js';

/** How pictures are drawn, and where they go: what all commands that draw have. */
export function addDrawingOptions(command: Command): Command {
  return command
    .option('--out <file>', 'PNG or JPEG; several become a-1.png, a-2.png, … (default: prompt and seed)')
    .option('--steps <n>', "denoising steps (default: the model's)", parse.wholeNumber(1))
    .option(
      '--cfg <scale>',
      "guidance: a number, first,last, or 'off' (default: the model's)",
      parse.guidance,
    )
    .option('--temperature <t>', "a number, or first,last (default: the model's)", parse.range)
    .option(
      '--renoise <n>',
      "steps that are followed by new noise (default: the model's)",
      parse.wholeNumber(0),
    )
    .option(
      '--typical <mass>',
      'draw only from tokens of typical probability, of this mass together, as the first version: 0.2',
      parse.share,
    )
    .option('--negative <text>', 'what the pictures should not show')
    .addOption(
      new Option(
        '--preset <name>',
        "settings to begin with: the released notebook's, or its announcement's (default: the model's)",
      ).choices(['notebook', 'blog'] satisfies Preset[]),
    )
    .option('--model <model>', "'default', a model folder, or its URL", 'default')
    .option('--low-memory', 'keep one large network on the device at a time (default for model folders)')
    .option('--no-low-memory', 'keep all networks on the device');
}

/** How many pictures of the same kind, and how they are shown. */
export function addCountOptions(command: Command): Command {
  return command
    .option('--count <n>', 'pictures, each with its own noise', parse.wholeNumber(1), 1)
    .option('--grid', 'write all pictures as one contact sheet')
    .option('--animate <file.gif>', 'also write the steps as a GIF');
}
