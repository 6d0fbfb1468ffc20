import type { Command } from 'commander';
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
    .option('--negative <text>', 'what the pictures should not show')
    .option('--model <model>', "'default', a model folder, or its URL", 'default');
}

/** How many pictures of the same kind, and how they are shown. */
export function addCountOptions(command: Command): Command {
  return command
    .option('--count <n>', 'pictures, each with its own noise', parse.wholeNumber(1), 1)
    .option('--grid', 'write all pictures as one contact sheet')
    .option('--animate <file.gif>', 'also write the steps as a GIF');
}
