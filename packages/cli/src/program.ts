import { Command, CommanderError, Option } from 'commander';
import { addCommand } from './add-command.js';
import type { BulkEncodeOptions } from './bulk/encode.js';
import { addBulkEncodeOptions, isBulk } from './bulk/options.js';
import type { ConvertOptions } from './commands/convert.js';
import type { EmojiDatasetOptions } from './commands/dataset.js';
import type { DoctorOptions } from './commands/doctor.js';
import type { InspectOptions } from './commands/inspect.js';
import type { ServeOptions } from './commands/serve.js';
import type { DecodeOptions, EncodeOptions } from './commands/tokens.js';
import type { TrainOptions } from './commands/train.js';
import { withContext } from './context.js';
import { addEditCommands } from './edit-commands.js';
import { pictureSources } from './emoji/sources.js';
import * as parse from './options.js';
import { Told, exitCodes, reportError, writeError } from './output.js';
import { addPictureCommands } from './picture-commands.js';

/** `paella inspect x | head` closes the pipe early, which is no failure. */
function onPipeError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(exitCodes.success);
  throw error;
}

/**
 * Runs a command line.
 *
 * @param args without the names of Node and of the script
 * @returns the exit code: 0 for success, 1 for failure, 2 for wrong usage, 130 after Ctrl-C
 */
export async function runCommandLine(args: readonly string[], version: string): Promise<number> {
  if (!process.stdout.listeners('error').includes(onPipeError)) process.stdout.on('error', onPipeError);
  const json = args.includes('--json');
  const state = { exitCode: exitCodes.success as number };
  try {
    await createProgram(version, state).parseAsync(args, { from: 'user' });
    return state.exitCode;
  } catch (error) {
    if (error instanceof Told) return error.exitCode;
    if (!(error instanceof CommanderError)) return reportError(error, { json });
    if (error.exitCode === 0) return exitCodes.success; // --help and --version
    if (json) writeError('argument', error.message.replace(/^error: /, ''));
    return exitCodes.usage;
  }
}

const exitCodesHelp = `
Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.
Results are written to stdout, everything else to stderr. With --json, stdout holds one JSON object:
the result, or { "error": { "code", "message", "fix" } }.`;

/** Commands are loaded when they run: those for data sets bring libraries that take longer than a picture's first step. */
function createProgram(version: string, state: { exitCode: number }): Command {
  const program = new Command('paella')
    .description('Text to image with Paella on WebGPU.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('Run it with --help for its options and examples.')
    .addHelpText('after', exitCodesHelp);

  addCommand(program, 'doctor', 'List adapters, and what would make them faster', [
    'doctor',
    'doctor --adapter gpu',
    'doctor --json',
    'doctor --tune',
  ])
    .option('--tune', 'time the variants of the kernels of --model, and use the fastest from now on')
    .option('--model <model>', "'default', a model folder, or its URL", 'default')
    .action((options: DoctorOptions) =>
      withContext(options, async (context) => {
        const { doctor } = await import('./commands/doctor.js');
        const works = await doctor(context, options);
        if (!works) state.exitCode = exitCodes.failure;
      }),
    );

  addPictureCommands(program, version);
  addEditCommands(program);

  addCommand(program, 'inspect', 'Tell what a checkpoint is', [
    'inspect paella_v3.pt',
    'inspect model.safetensors.index.json --all',
    'inspect vqgan_f4.pt --json',
  ])
    .argument('<file>', 'safetensors, .pt, .pth or .bin, the index.json of a sharded one, or a URL')
    .option('--all', 'list every tensor')
    .action((file: string, options: InspectOptions) =>
      withContext(options, async (context) => {
        const { inspect } = await import('./commands/inspect.js');
        await inspect(context, file, options);
      }),
    );

  addCommand(program, 'convert', 'Turn a checkpoint into safetensors', [
    'convert paella_v3.pt paella_v3.safetensors',
    'convert paella_v3.pt paella_v3.safetensors --dtype f16 --max-shard 2GB',
  ])
    .argument('<in>', 'any checkpoint that inspect reads')
    .argument('<out>', 'a name that ends in .safetensors')
    .option('--max-shard <size>', 'split into files of at most this size, with an index', parse.bytes)
    .action((from: string, to: string, options: ConvertOptions) =>
      withContext(options, async (context) => {
        const { convert } = await import('./commands/convert.js');
        await convert(context, from, to, options);
      }),
    );

  const encoding = addCodecCommand(program, 'encode', 'Turn pictures into tokens', [
    'encode apple.png --out apple.json',
    'encode photo.jpg --size 64x64 --out photo.safetensors',
    'encode --data "shards/{000..099}.tar" --size 64x64 --out tokens --shard 0/4',
  ])
    .argument('[image]', 'PNG or JPEG')
    .option('--out <file>', '.json or .safetensors (default: print the tokens)')
    .option('--size <WxH>', 'scale the picture to cover these pixels, crop to the middle', parse.size);
  addBulkEncodeOptions(encoding).action(
    (file: string | undefined, options: EncodeOptions | BulkEncodeOptions, command: Command) =>
      withContext(options, async (context) => {
        if (isBulk(command, ['image', file], ['--data', 'data' in options ? options.data : undefined])) {
          const { bulkEncode } = await import('./bulk/encode.js');
          await bulkEncode(context, options as BulkEncodeOptions, version);
        } else {
          const { encode } = await import('./commands/tokens.js');
          await encode(context, file!, options);
        }
      }),
  );

  addCodecCommand(program, 'decode', 'Turn tokens into pictures', [
    'decode apple.json --out apple.png',
    'decode tokens.safetensors --model vqgan_f4.pt --out picture.png',
  ])
    .argument('<tokens>', 'a file that encode made, or any JSON array of rows')
    .requiredOption('--out <file>', 'PNG or JPEG; several pictures become a-1.png, a-2.png, …')
    .action((file: string, options: DecodeOptions) =>
      withContext(options, async (context) => {
        const { decode } = await import('./commands/tokens.js');
        await decode(context, file, options);
      }),
    );

  addCodecCommand(program, 'reconstruct', 'Send a picture through tokens and back, and measure the loss', [
    'reconstruct apple.png --out again.png',
    'reconstruct photo.jpg --size 256x256 --model vqgan_f4.pt --out again.png --json',
  ])
    .argument('<image>', 'PNG or JPEG')
    .option('--out <file>', 'PNG or JPEG (default: only print the PSNR)')
    .option('--size <WxH>', 'scale the picture to cover these pixels, crop to the middle', parse.size)
    .action((file: string, options: EncodeOptions) =>
      withContext(options, async (context) => {
        const { reconstruct } = await import('./commands/tokens.js');
        await reconstruct(context, file, options);
      }),
    );

  const dataset = program.command('dataset').description('Make a data set to train on');
  addCommand(dataset, 'emoji', 'Build captioned emoji, icons, scenes and avatars as WebDataset shards', [
    'dataset emoji --out data/emoji64',
    'dataset emoji --out data/small --sources twemoji,noto --compose 0 --avatars 0 --limit 500',
  ])
    .requiredOption('--out <folder>', 'where shards, NOTICE and dataset.json go')
    .option('--size <n>', 'side of the pictures in pixels', parse.wholeNumber(8), 64)
    .option(
      '--sources <names>',
      `from ${pictureSources.map(({ name }) => name).join(', ')}`,
      parse.names,
      pictureSources.map(({ name }) => name),
    )
    .option('--packages <folder>', 'where the npm packages of pictures are (default: installed into a cache)')
    .option(
      '--compose <n>',
      'scenes: backgrounds, places, two things, silhouettes',
      parse.wholeNumber(0),
      4000,
    )
    .option('--avatars <n>', 'faces with described parts', parse.wholeNumber(0), 1000)
    .option('--limit <n>', 'at most so many pictures of each source', parse.wholeNumber(1))
    .option('--shard-size <n>', 'pictures in a shard', parse.wholeNumber(1), 2000)
    .option('--strict-licences', 'only pictures under MIT, Apache-2.0 or CC0')
    .action((options: EmojiDatasetOptions) =>
      withContext(options, async (context) => {
        const { datasetEmoji } = await import('./commands/dataset.js');
        await datasetEmoji(context, options);
      }),
    );

  const train = program.command('train').description('Train a model on captioned pictures');
  addTrainCommand(train, 'vqgan', 'Learn to turn pictures into tokens and back', [
    'train vqgan --data data/emoji64 --out runs/vqgan',
    'train vqgan --config my-vqgan.json --data photos --out runs/photos --steps 20000',
    'train vqgan --data data/emoji64 --out runs/vqgan --resume',
  ]).action((options: TrainOptions) =>
    withContext(options, async (context) => {
      const { trainVqgan } = await import('./commands/train.js');
      await trainVqgan(context, options, version);
    }),
  );
  addTrainCommand(train, 'paella', 'Learn to draw tokens for captions', [
    'train paella --data data/emoji64 --vqgan runs/vqgan --out runs/paella',
    'train paella --config my-paella.json --data "shards/{000..099}.tar" --out runs/big',
    'generate "a red apple" --model runs/paella/model --out apple.png',
  ])
    .option('--vqgan <model>', "whose tokens: 'default', a model folder, or a run of train vqgan")
    .action((options: TrainOptions) =>
      withContext(options, async (context) => {
        const { trainPaella } = await import('./commands/train.js');
        await trainPaella(context, options, version);
      }),
    );
  addTrainCommand(train, 'image-encoder', 'Learn to look at pictures, for vary, with a model of your own', [
    'train image-encoder --data data/emoji64 --model runs/paella/model --out runs/eye',
    'vary apple.png --model runs/eye/model --out another.png',
  ])
    .option('--model <model>', "'default' or a model folder with word vectors; its U-Net stays as it is")
    .action((options: TrainOptions) =>
      withContext(options, async (context) => {
        const { trainImageEncoder } = await import('./commands/train.js');
        await trainImageEncoder(context, options, version);
      }),
    );

  addCommand(program, 'serve', 'Open the studio: the page that draws in the browser', [
    'serve',
    'serve --port 3000 --model runs/paella/model',
  ])
    .addOption(
      new Option('--port <n>', 'where; 0 is any that is free (default: 8080, or a free one)')
        .env('PORT')
        .argParser(parse.port),
    )
    .option('--host <address>', 'whom it answers: 127.0.0.1 this machine, 0.0.0.0 all', '127.0.0.1')
    .option('--model <folder>', "'default', or a model folder that the page draws with", 'default')
    .action((options: ServeOptions) =>
      withContext(options, async (context) => {
        const { serve } = await import('./commands/serve.js');
        await serve(context, options);
        state.exitCode = exitCodes.interrupted; // what ended it
      }),
    );

  leaves(program).forEach(addCommonOptions);
  return program;
}

/** The commands that do something: those without commands of their own. */
const leaves = (command: Command): Command[] =>
  command.commands.flatMap((one) => (one.commands.length > 0 ? leaves(one) : [one]));

function addTrainCommand(program: Command, kind: string, summary: string, examples: string[]): Command {
  return addCommand(program, kind, summary, examples)
    .option(
      '--config <file>',
      `a JSON file, or the name of one that comes along; else ${kind}-emoji64, or what the resumed run has`,
    )
    .option('--data <source>', 'a folder of captioned pictures, WebDataset shards, or URLs of such')
    .requiredOption('--out <folder>', 'where the run goes: checkpoints, metrics, grids, report, model')
    .option('--steps <n>', 'steps in all', parse.wholeNumber(1))
    .option('--resume', 'go on with the run in --out');
}

function addCodecCommand(program: Command, name: string, summary: string, examples: string[]): Command {
  return addCommand(program, name, summary, examples).option(
    '--model <model>',
    "'default', a model folder or its URL, or a VQGAN checkpoint",
    'default',
  );
}

/** What takes the place of a seed in groups of commands whose results should not be random. */
const seedDefaults: Record<string, string> = { train: "the configuration's", dataset: '0' };

/** What every command takes. */
function addCommonOptions(command: Command): void {
  const group = command.parent?.name() ?? '';
  command
    .optionsGroup('Common options:')
    .option('--adapter <which>', "'auto', 'gpu', 'software', or a part of an adapter's name", 'auto')
    .option(
      '--seed <n>',
      `equal seeds give equal results (default: ${seedDefaults[group] ?? 'random'})`,
      parse.wholeNumber(0),
    );
  if (command.name() === 'convert') {
    command.option('--dtype <type>', 'store all floats as f32, f16 or bf16', parse.storedType);
  } else if (group === 'train') {
    const what = 'f16 for mixed precision, f32 without (default: as the configuration says)';
    command.option('--dtype <type>', what, parse.weightType);
  } else {
    command.option(
      '--dtype <type>',
      'how weights are held on the device: f32, or f16 for half the memory',
      parse.weightType,
      'f32',
    );
  }
  command
    .option('--json', 'print one JSON object on stdout')
    .option('--quiet', 'print nothing on stderr unless something fails')
    .helpOption('-h, --help', 'show this help');
}
