import type { JSX } from 'preact';

interface PlayerProps {
  class: string;
  label: string;
  play: { label: string; onToggle: () => void };
  range: { label: string; value: number; max: number; text: string; onGo: (value: number) => void };
  /** Beside the slider, for those who see it. */
  children: JSX.Element;
}

/** Pictures one after the other: a button that plays them, and a slider, from 1, that goes to one. */
export function Player({ class: name, label, play, range, children }: PlayerProps): JSX.Element {
  return (
    <div class={name} role="group" aria-label={label}>
      <button type="button" onClick={play.onToggle}>
        {play.label}
      </button>
      <input
        type="range"
        min="1"
        max={range.max}
        value={range.value}
        aria-label={range.label}
        aria-valuetext={range.text}
        onInput={(event) => range.onGo(event.currentTarget.valueAsNumber)}
      />
      {children}
    </div>
  );
}
