import type { JSX } from 'preact';

export function Inspect(): JSX.Element {
  return <p>Nothing here yet.</p>;
}
