import type { ComponentChildren, JSX } from 'preact';

/** A table that scrolls sideways by itself where the page is too narrow for it, with the keyboard too. */
export function ScrollTable({
  label,
  columns,
  children,
}: {
  label: string;
  columns: readonly string[];
  /** The table's body, and its foot. */
  children: ComponentChildren;
}): JSX.Element {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        {children}
      </table>
    </div>
  );
}
