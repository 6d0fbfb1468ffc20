/** The commands that draw pictures, and the options that they share. */
import type { Command } from 'commander';
import { addCommand } from './add-command.js';
import type { BulkGenerateOptions } from './bulk/generate.js';
import { addBulkGenerateOptions, isBulk } from './bulk/options.js';
import type { GenerateOptions } from './commands/generate.js';
import { withContext } from './context.js';
import * as parse from './options.js';

/** Declares them; their code is loaded when they run. */
export function addPictureCommands(program: Command, version: string): void {
  const generate = addDrawingOptions(
    addCommand(program, 'generate', 'Draw pictures for a prompt', [
      'generate "a red apple" --out apple.png',
      'generate "a blue whale" --count 4 --grid --out whales.png --seed 7',
      'generate "a tree" --negative "autumn" --cfg 6 --temperature 0.7,0.3 --out tree.png',
      'generate "a sailing boat" --animate boat.gif --out boat.png --json',
      'generate --prompts prompts.jsonl --out pictures --shard 0/4',
    ]).argument('[prompt]', 'what to draw, in quotes'),
  ).option('--size <WxH>', "pixels (default: the model's)", parse.size);
  addBulkGenerateOptions(generate).action(
    (prompt: string | undefined, options: GenerateOptions | BulkGenerateOptions, command: Command) =>
      withContext(options, async (context) => {
        const prompts = 'prompts' in options ? options.prompts : undefined;
        if (isBulk(command, ['prompt', prompt], ['--prompts', prompts])) {
          const { bulkGenerate } = await import('./bulk/generate.js');
          await bulkGenerate(context, options as BulkGenerateOptions, version);
        } else {
          const { generate } = await import('./commands/generate.js');
          await generate(context, prompt!, options);
        }
      }),
  );
}

/** How pictures are drawn, and where they go. */
function addDrawingOptions(command: Command): Command {
  return command
    .option('--out <file>', 'PNG or JPEG; several become a-1.png, a-2.png, … (default: prompt and seed)')
    .option('--count <n>', 'pictures, each with its own noise', parse.wholeNumber(1), 1)
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
    .option('--model <model>', "'default', a model folder, or its URL", 'default')
    .option('--grid', 'write all pictures as one contact sheet')
    .option('--animate <file.gif>', 'also write the steps as a GIF');
}
