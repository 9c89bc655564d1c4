/** Something that the operator has to put right: the sentences say what, one mistake each. No stack is of any use. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly sentences: readonly string[]

  constructor(sentences: readonly string[], options?: ErrorOptions) {
    super(sentences.join('\n'), options)
    this.sentences = sentences
  }
}

/** The `code` of a Node error (`EADDRINUSE`, `ENOENT`, …). */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** What the operator can do something about, by the code of a Node error. */
const REASONS: Record<string, string> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  ENOTDIR: 'a part of the path is a file',
  ENOENT: 'it is not there and cannot be made',
  EIO: 'the device reports an error',
  EMFILE: 'too many files are open',
}

/** In words, with the code: `no space is left on the device (ENOSPC)`. */
export const reasonOf = (error: unknown): string => {
  const code = codeOf(error)
  if (code === undefined) return error instanceof Error ? error.message : String(error)
  const reason = REASONS[code]
  return reason === undefined ? code : `${reason} (${code})`
}

/** What a file system answers that takes no more, not what a network does. */
const FILE_CODES = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'EIO']

/** A file of the data directory that could not be written is a sentence for the operator, not a defect. */
export const asFileError = (dir: string, error: unknown): unknown =>
  FILE_CODES.includes(codeOf(error) ?? '')
    ? new StartError([`The data directory ${dir} cannot be written to: ${reasonOf(error)}.`], {
        cause: error,
      })
    : error
