/** The commands that begin with pictures, or lie between prompts. */
import { type Command, Option } from 'commander';
import { addCommand } from './add-command.js';
import type { InpaintOptions } from './commands/inpaint.js';
import type { InterpolateOptions } from './commands/interpolate.js';
import type { MorphOptions } from './commands/morph.js';
import type { OutpaintOptions } from './commands/outpaint.js';
import type { VaryOptions } from './commands/vary.js';
import { withContext } from './context.js';
import { addCountOptions, addDrawingOptions } from './drawing-options.js';
import * as parse from './options.js';

/** Declares them; their code is loaded when they run. */
export function addEditCommands(program: Command): void {
  const inpaint = addCommand(program, 'inpaint', 'Draw a part of a picture anew', [
    'inpaint face.png "a face with sunglasses" --box 8,16,48,20 --out cool.png',
    'inpaint house.png "a tree" --mask mask.png --count 4 --grid --out trees.png',
    'inpaint apple.png "a green leaf" --mask mask.png --invert --seed 7',
  ])
    .argument('<image>', 'PNG or JPEG')
    .argument('<prompt>', 'what the result should show, in quotes')
    .option('--mask <file>', 'a picture of the same size: white and opaque where it is to change')
    .option('--box <x,y,w,h>', 'the part to change as a box in pixels', parse.box)
    .option('--invert', 'keep the part and draw the rest')
    .option('--size <WxH>', 'scale picture and mask to cover these pixels, crop to the middle', parse.size);
  addKeepOption(inpaint);
  addDrawingOptions(addCountOptions(inpaint)).action(
    (image: string, prompt: string, options: InpaintOptions) =>
      withContext(options, async (context) => {
        const command = await import('./commands/inpaint.js');
        await command.inpaint(context, image, prompt, options);
      }),
  );

  const outpaint = addCommand(program, 'outpaint', 'Draw what lies around a picture', [
    'outpaint boat.png "a boat on the sea" --size 128x64 --out sea.png',
    'outpaint boat.png "a boat on the sea" --left 32 --right 32 --out sea.png',
    'outpaint photo.jpg "a sunny street" --image-size 64x64 --size 128x128 --at 0,64',
  ])
    .argument('<image>', 'PNG or JPEG')
    .argument('<prompt>', 'what the result should show, in quotes')
    .option('--size <WxH>', 'pixels of the result', parse.size)
    .option(
      '--at <x,y>',
      "where the picture's upper left corner lies in it (default: the middle)",
      parse.point,
    )
    .option('--left <n>', 'pixels to add at the left, in the place of --size', parse.wholeNumber(0))
    .option('--right <n>', 'at the right', parse.wholeNumber(0))
    .option('--top <n>', 'above', parse.wholeNumber(0))
    .option('--bottom <n>', 'below', parse.wholeNumber(0))
    .option(
      '--image-size <WxH>',
      'scale the picture to cover these pixels first, crop to the middle',
      parse.size,
    );
  addKeepOption(outpaint);
  addDrawingOptions(addCountOptions(outpaint)).action(
    (image: string, prompt: string, options: OutpaintOptions) =>
      withContext(options, async (context) => {
        const command = await import('./commands/outpaint.js');
        await command.outpaint(context, image, prompt, options);
      }),
  );

  const vary = addCommand(program, 'vary', 'Draw pictures that show what others show', [
    'vary apple.png --count 4 --grid --out apples.png',
    'vary apple.png pear.png --out mixture.png',
    'vary apple.png --prompt "made of glass" --out glass.png',
  ])
    .argument('<images...>', 'PNG or JPEG, of any size')
    .option('--prompt <text>', 'what they should show besides')
    .option('--size <WxH>', "pixels (default: the model's)", parse.size);
  addDrawingOptions(addCountOptions(vary)).action((images: string[], options: VaryOptions) =>
    withContext(options, async (context) => {
      const command = await import('./commands/vary.js');
      await command.vary(context, images, options);
    }),
  );

  const morph = addCommand(program, 'morph', 'Draw a prompt over the structure of a picture', [
    'morph apple.png "an orange" --out orange.png',
    'morph cat.png "a dog" --strength 0.6 --count 4 --grid --out dogs.png',
    'morph cat.png "a dog" --steps 24 --start-step 8 --out dog.png',
  ])
    .argument('<image>', 'PNG or JPEG')
    .argument('<prompt>', 'what to make of it, in quotes')
    .option(
      '--strength <share>',
      'share of its tokens that noise replaces first (default: 0.87)',
      parse.share,
    )
    .option('--start-step <n>', 'begin at this step of all, in the place of --strength', parse.wholeNumber(0))
    .option('--size <WxH>', 'scale the picture to cover these pixels, crop to the middle', parse.size);
  addDrawingOptions(addCountOptions(morph)).action((image: string, prompt: string, options: MorphOptions) =>
    withContext(options, async (context) => {
      const command = await import('./commands/morph.js');
      await command.morph(context, image, prompt, options);
    }),
  );

  const interpolate = addCommand(
    program,
    'interpolate',
    'Draw the way from one prompt or picture to another',
    [
      'interpolate "a red apple" "a green pear" --grid --out way.png',
      'interpolate "sun" "moon" --frames 24 --animate way.gif --out way.png --seed 7',
      'interpolate apple.png pear.png --images --method lerp --grid --out way.png',
    ],
  )
    .argument('<from>', 'a prompt in quotes, or with --images a PNG or JPEG')
    .argument('<to>', 'the same')
    .option('--images', 'the two are pictures')
    .option('--frames <n>', 'pictures, both ends included', parse.wholeNumber(2), 8)
    .addOption(
      new Option('--method <name>', 'straight, or along the arc between the directions')
        .choices(['lerp', 'slerp'])
        .default('slerp'),
    )
    .option('--size <WxH>', "pixels (default: the model's)", parse.size)
    .option('--grid', 'write all pictures as one contact sheet')
    .option('--animate <file.gif>', 'also write them as a GIF');
  addDrawingOptions(interpolate).action((from: string, to: string, options: InterpolateOptions) =>
    withContext(options, async (context) => {
      const command = await import('./commands/interpolate.js');
      await command.interpolate(context, from, to, options);
    }),
  );
}

function addKeepOption(command: Command): Command {
  return command.option(
    '--no-keep-pixels',
    "all pixels from the model's decoder: kept ones change slightly, and there is no seam",
  );
}
