/** The command that draws pictures for prompts. */
import { type Command, Option } from 'commander';
import { addCommand } from './add-command.js';
import type { BulkGenerateOptions } from './bulk/generate.js';
import { addBulkGenerateOptions, isBulk } from './bulk/options.js';
import type { GenerateOptions } from './commands/generate.js';
import type { PlanOptions } from './commands/plan.js';
import { withContext } from './context.js';
import { addCountOptions, addDrawingOptions } from './drawing-options.js';
import * as parse from './options.js';

/** Declares it; its code is loaded when it runs. */
export function addPictureCommands(program: Command, version: string): void {
  const declared = addCountOptions(
    addCommand(program, 'generate', 'Draw pictures for a prompt', [
      'generate "a red apple" --out apple.png',
      'generate "a blue whale" --count 4 --grid --out whales.png --seed 7',
      'generate "a tree" --negative "autumn" --cfg 6 --temperature 0.7,0.3 --out tree.png',
      'generate "a sailing boat" --animate boat.gif --out boat.png --json',
      'generate "a meadow" --region "0,0,64,24:blue sky" --region "40,8,16,16:the sun" --out meadow.png',
      'generate "an orange cat" --ramp horizontal --to "a grey wolf" --out both.png',
      'generate "a (red:1.5) apple" --out redder.png',
      'generate --prompts prompts.jsonl --out pictures --shard 0/4',
      'generate --model released --dtype f16 --size 512x512 --dry-run',
    ]).argument('[prompt]', 'what to draw, in quotes; (words:1.4) weigh more'),
  )
    .option('--size <WxH>', "pixels (default: the model's)", parse.size)
    .option(
      '--region <x,y,w,h:prompt>',
      'another prompt for a box, or for a mask.png:prompt; may be repeated, later ones cover earlier ones',
      parse.region,
      [],
    )
    .addOption(
      new Option('--ramp <direction>', 'pass from the prompt to that of --to across the picture').choices([
        'horizontal',
        'vertical',
      ]),
    )
    .option('--to <prompt>', 'what --ramp ends in')
    .option('--dry-run', 'only tell what memory it takes, from the headers of the files of --model');
  addDrawingOptions(declared);
  addBulkGenerateOptions(declared).action(
    (
      prompt: string | undefined,
      options: (GenerateOptions | BulkGenerateOptions) & PlanOptions,
      command: Command,
    ) =>
      withContext(options, async (context) => {
        if (options.dryRun) {
          const { planDrawing } = await import('./commands/plan.js');
          await planDrawing(context, prompt, options);
          return;
        }
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
