/** Prints the one-line summary of a vitest JSON report: `node scripts/test-summary.mjs report.json`. */
import { readFile } from 'node:fs/promises';

/** @type {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} */
const { testResults } = JSON.parse(await readFile(process.argv[2], 'utf8'));

let [passed, failed, skipped] = [0, 0, 0];
for (const file of testResults) {
  const statuses = file.assertionResults.map(({ status }) => status);
  const failures = statuses.filter((status) => status === 'failed').length;
  passed += statuses.filter((status) => status === 'passed').length;
  // A file that fails outside its tests, one that does not load for example, counts as one failure.
  failed += failures === 0 && file.status === 'failed' ? 1 : failures;
  skipped += statuses.filter((status) => status !== 'passed' && status !== 'failed').length;
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
