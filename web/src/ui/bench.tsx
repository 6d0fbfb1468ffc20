import type { JSX } from 'preact';

export function Bench(): JSX.Element {
  return <p>Nothing here yet.</p>;
}
