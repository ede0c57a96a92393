// Tell the runner what was checked, a line of JSON each; the first that fails ends the script.

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** Tell something else than a check, such as a version. */
export const say = tell;

/**
 * Run a check.
 *
 * @param {string} sentence what is seen to work if `body` does not throw.
 * @param {() => Promise<any>} body whatever it returns is returned.
 */
export async function check(sentence, body) {
  try {
    const value = await body();
    tell({ checked: sentence });
    return value;
  } catch (error) {
    tell({ failed: sentence, because: `${error?.message ?? error}`.slice(0, 400) });
    process.exit(1);
  }
}
