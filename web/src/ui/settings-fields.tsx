import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { info } from '../state/engine.js';
import { linkOf } from '../state/link.js';
import { notify } from '../state/notices.js';
import { change, changeSteps, rollSeed, settings, useModelSettings } from '../state/settings.js';
import { sizeFromSource, tool } from '../state/tool.js';
import { limits, problems } from '../state/validation.js';
import { NumberField, SelectField, TextField } from './field.js';
import { DiceIcon, LockedIcon, UnlockedIcon } from './icons.js';
import { SizeField } from './size-field.js';

/** Everything that is not the prompt. Folded on phones, where it would push the picture off the screen. */
export function SettingsFields(): JSX.Element {
  const [isOpen] = useState(() => matchMedia('(min-width: 48rem)').matches);
  return (
    <details class="settings" open={isOpen}>
      <summary>Settings</summary>
      <div class="fields">
        <Style />
        {tool.value !== 'interpolate' && <Count />}
        {!sizeFromSource.value && <SizeField />}
        <Seed />
        <TextField
          label="Negative prompt"
          hint="What should not be in the picture."
          value={settings.value.negative}
          onChange={(negative) => change({ negative })}
        />
        <FineTuning />
        <div class="row">
          <button
            type="button"
            title="As the model was made to draw"
            disabled={!info.value}
            onClick={useModelSettings}
          >
            Reset
          </button>
          <button type="button" onClick={() => void copyLink()}>
            Copy link
          </button>
        </div>
      </div>
    </details>
  );
}

function Style(): JSX.Element {
  const { style } = settings.value;
  // The style of a picture of another model stays in the list.
  const styles = new Set([...(info.value?.model.styles ?? []), ...(style ? [style] : [])]);
  return (
    <SelectField
      label="Style"
      value={style}
      options={[
        { value: '', label: 'As the model likes' },
        ...[...styles].map((value) => ({ value, label: value })),
      ]}
      onChange={(value) => change({ style: value })}
    />
  );
}

function Count(): JSX.Element {
  const [min, max] = limits.count;
  return (
    <NumberField
      label="Pictures"
      {...{ min, max }}
      slideTo={8}
      value={settings.value.count}
      problem={problems.value.count}
      onChange={(count) => change({ count })}
    />
  );
}

function Seed(): JSX.Element {
  const { seed, seedLocked } = settings.value;
  const [min, max] = limits.seed;
  return (
    <div class="seed">
      <NumberField
        label="Seed"
        hint="Equal seeds and settings give equal pictures."
        {...{ min, max }}
        value={seed}
        problem={problems.value.seed}
        onChange={(value) => change({ seed: value })}
      />
      <button
        type="button"
        aria-label="Roll the dice"
        title="Roll the dice"
        onClick={() => change({ seed: rollSeed() })}
      >
        <DiceIcon />
      </button>
      <button
        type="button"
        aria-label="Keep for the next picture"
        title="Keep for the next picture"
        aria-pressed={seedLocked}
        onClick={() => change({ seedLocked: !seedLocked })}
      >
        {seedLocked ? <LockedIcon /> : <UnlockedIcon />}
      </button>
    </div>
  );
}

function FineTuning(): JSX.Element {
  const { steps, cfg, temperature, renoiseSteps } = settings.value;
  const found = problems.value;
  const [minTemperature, maxTemperature] = limits.temperature;
  const [start, end] = temperature;
  const range = { min: minTemperature, max: maxTemperature, step: 0.05, slideTo: 2 };
  return (
    <details class="fine">
      <summary>Fine tuning</summary>
      <div class="fields">
        <NumberField
          label="Steps"
          hint="More take longer, and rarely look better beyond 12."
          min={limits.steps[0]}
          max={limits.steps[1]}
          slideTo={32}
          value={steps}
          problem={found.steps}
          onChange={changeSteps}
        />
        <NumberField
          label="Guidance"
          hint="How closely to follow the prompt."
          min={limits.cfg[0]}
          max={limits.cfg[1]}
          step={0.5}
          slideTo={16}
          value={cfg}
          problem={found.cfg}
          onChange={(value) => change({ cfg: value })}
        />
        <NumberField
          label="Temperature at the start"
          hint="Higher is more varied."
          {...range}
          value={start}
          problem={found.temperature}
          onChange={(value) => change({ temperature: [value, end] })}
        />
        <NumberField
          label="Temperature at the end"
          {...range}
          value={end}
          onChange={(value) => change({ temperature: [start, value] })}
        />
        <NumberField
          label="Renoised steps"
          hint="After so many of the steps, some tokens are drawn once more."
          min={limits.renoiseSteps[0]}
          max={limits.renoiseSteps[1]}
          slideTo={Math.max(1, steps - 1) || 1}
          value={renoiseSteps}
          problem={found.renoiseSteps}
          onChange={(value) => change({ renoiseSteps: value })}
        />
      </div>
    </details>
  );
}

async function copyLink(): Promise<void> {
  const link = linkOf(settings.value);
  try {
    await navigator.clipboard.writeText(link);
    notify({ kind: 'info', text: 'The link to these settings is in the clipboard.' });
  } catch {
    location.hash = new URL(link).hash;
    notify({
      kind: 'info',
      text: 'The clipboard is closed to this page: copy the link from the address bar.',
    });
  }
}
