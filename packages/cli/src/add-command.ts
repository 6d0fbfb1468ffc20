import type { Command } from 'commander';

/**
 * Declares a command.
 *
 * @param examples command lines without the program's name, shown under its help
 */
export function addCommand(program: Command, name: string, summary: string, examples: string[]): Command {
  return program
    .command(name)
    .description(summary)
    .addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ paella ${line}`).join('\n')}`);
}
