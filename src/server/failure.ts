/** Something that the operator has to put right: the sentences say what, one mistake each. No stack is of any use. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure'
  readonly sentences: readonly string[]

  constructor(sentences: readonly string[], options?: ErrorOptions) {
    super(sentences.join('\n'), options)
    this.sentences = sentences
  }
}

/** The `code` of a Node error (`EADDRINUSE`, `ENOENT`, …). */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
