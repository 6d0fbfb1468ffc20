import type { JSX } from 'preact';
import { canvasPresets, canvasSize, extend, roomAt, sideNames, sides } from '../../state/sides.js';
import { source } from '../../state/source.js';
import { MOST_FRAMES, endPrompt, frames, strength, tool } from '../../state/tool.js';
import { info } from '../../state/engine.js';
import { NumberField, TextField } from '../field.js';

/** What the tool asks for besides a prompt. */
export function ToolFields(): JSX.Element {
  return (
    <>
      {tool.value === 'outpaint' && source.value && info.value && <SideFields />}
      {tool.value === 'morph' && <StrengthField />}
      {tool.value === 'interpolate' && <WayFields />}
    </>
  );
}

function SideFields(): JSX.Element {
  const { width, height } = source.value!.image;
  const { sizeMultiple } = info.value!.model;
  return (
    <fieldset class="sides">
      <legend>Extend by, in pixels</legend>
      {sideNames.map((name) => (
        <NumberField
          key={name}
          label={`${name[0].toUpperCase()}${name.slice(1)}`}
          value={sides.value[name]}
          min={0}
          max={sides.value[name] + roomAt(name)}
          step={sizeMultiple}
          onChange={(pixels) => extend({ [name]: pixels })}
        />
      ))}
      <div class="presets">
        {canvasPresets.map(({ label, sides: preset }) => (
          <button key={label} type="button" onClick={() => extend(preset(width, height))}>
            {label}
          </button>
        ))}
      </div>
      <p class="note">
        The new picture has {canvasSize.value.join(' × ')} pixels; steps are of {sizeMultiple}.
      </p>
    </fieldset>
  );
}

/** A slider alone: what a share means is seen, not computed. */
function StrengthField(): JSX.Element {
  const percent = `${Math.round(100 * strength.value)} %`;
  return (
    <div class="strength field">
      <label for="strength">Strength</label>
      <output for="strength">{percent}</output>
      <input
        id="strength"
        type="range"
        min="0.05"
        max="1"
        step="0.05"
        value={strength.value}
        aria-describedby="strength-note"
        aria-valuetext={percent}
        onInput={(event) => (strength.value = event.currentTarget.valueAsNumber)}
      />
      <p id="strength-note" class="note">
        Little keeps the picture, all of it leaves nothing.
      </p>
    </div>
  );
}

function WayFields(): JSX.Element {
  return (
    <>
      <TextField
        label="To the prompt"
        value={endPrompt.value}
        placeholder="a blue whale"
        onChange={(value) => (endPrompt.value = value)}
      />
      <NumberField
        label="Pictures on the way"
        value={frames.value}
        min={2}
        max={MOST_FRAMES}
        slideTo={MOST_FRAMES}
        onChange={(value) => (frames.value = value)}
      />
    </>
  );
}
