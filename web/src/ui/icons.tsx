import type { JSX } from 'preact';

/** Drawn in the colour of the text around it; what it means is said by the button that it is on. */
function Icon({ path }: { path: string }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

const SQUARE =
  'M5 2.5h10a2.5 2.5 0 0 1 2.5 2.5v10a2.5 2.5 0 0 1-2.5 2.5H5A2.5 2.5 0 0 1 2.5 15V5A2.5 2.5 0 0 1 5 2.5z';
const DOTS = 'M6.5 6.5h0M13.5 6.5h0M10 10h0M6.5 13.5h0M13.5 13.5h0';
const BODY = 'M4.5 9h11v8.5h-11zM10 12.5v1.8';

export const DiceIcon = (): JSX.Element => <Icon path={SQUARE + DOTS} />;
export const LockedIcon = (): JSX.Element => <Icon path={`${BODY}M6.5 9V6a3.5 3.5 0 0 1 7 0v3`} />;
export const UnlockedIcon = (): JSX.Element => <Icon path={`${BODY}M6.5 9V5a3.5 3.5 0 0 1 7 0`} />;
