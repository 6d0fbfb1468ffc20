/**
 * Moves the focus among the buttons of a group by the arrow keys, Home and End. The group is one stop of the Tab key:
 * one of its buttons has the tab index 0, the others −1.
 *
 * @returns the button that has the focus now; null for other keys
 */
export function moveFocus(event: KeyboardEvent): HTMLButtonElement | null {
  const buttons = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLButtonElement>('button')];
  const now = buttons.indexOf(event.target as HTMLButtonElement);
  const last = buttons.length - 1;
  const next = {
    ArrowRight: Math.min(now + 1, last),
    ArrowDown: Math.min(now + 1, last),
    ArrowLeft: Math.max(now - 1, 0),
    ArrowUp: Math.max(now - 1, 0),
    Home: 0,
    End: last,
  }[event.key];
  if (next === undefined || now < 0) return null;
  event.preventDefault();
  buttons[next].focus();
  return buttons[next];
}
