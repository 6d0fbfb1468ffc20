import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { info } from '../state/engine.js';
import { change, settings } from '../state/settings.js';
import { limits, problems } from '../state/validation.js';
import { NumberField, SelectField } from './field.js';

const CUSTOM = 'custom';

/** Width and height: some that are useful, or any that the model can draw. */
export function SizeField(): JSX.Element {
  const { size } = settings.value;
  const presets = presetsOf(info.value?.model.imageSize ?? [64, 64]);
  const [isCustom, setCustom] = useState(false);
  const isPreset = presets.some(({ value }) => value === String(size));
  const choose = (value: string): void => {
    setCustom(value === CUSTOM);
    if (value !== CUSTOM) change({ size: value.split(',').map(Number) as [number, number] });
  };
  const asCustom = isCustom || !isPreset;
  return (
    <>
      <SelectField
        label="Size"
        value={asCustom ? CUSTOM : String(size)}
        options={[...presets, { value: CUSTOM, label: 'Other …' }]}
        onChange={choose}
      />
      {asCustom && <Sides />}
    </>
  );
}

function Sides(): JSX.Element {
  const [width, height] = settings.value.size;
  const multiple = info.value?.model.sizeMultiple ?? 8;
  const range = { min: multiple, max: limits.side[1], step: multiple };
  const problem = problems.value.size;
  return (
    <div class="row">
      <NumberField
        label="Width"
        {...range}
        value={width}
        problem={problem}
        onChange={(value) => change({ size: [value, height] })}
      />
      <NumberField
        label="Height"
        {...range}
        value={height}
        problem={problem && ' '}
        onChange={(value) => change({ size: [width, value] })}
      />
    </div>
  );
}

function presetsOf([width, height]: readonly [number, number]): { value: string; label: string }[] {
  const presets: [string, number, number][] = [
    ['Square', width, height],
    ['Wide', 2 * width, height],
    ['Tall', width, 2 * height],
    ['Large', 2 * width, 2 * height],
  ];
  return presets.map(([name, w, h]) => ({ value: `${w},${h}`, label: `${name}, ${w} × ${h}` }));
}
