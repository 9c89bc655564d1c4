/** The command could not be done: exit code 1, the sentence on stderr. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
}
