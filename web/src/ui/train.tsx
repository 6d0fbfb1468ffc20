import type { JSX } from 'preact';

export function Train(): JSX.Element {
  return <p>Nothing here yet.</p>;
}
