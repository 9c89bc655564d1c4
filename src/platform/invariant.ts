/**
 * Assertions that stay on in production. They stand at the seams: before a row is written and after it is read, where a
 * batch was committed, where a count or a cursor may only go one way.
 *
 * A failed one is a defect of ours or a damaged store, never bad input. It is thrown before anything of the write that it
 * guards is done. The edges answer it as `internal` with an id; the log counts it in `invariant_violations_total`.
 */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation'
}

/**
 * Throws an `InvariantViolation` unless the condition holds.
 *
 * @param what the rule that must hold, as a constant sentence: it is evaluated with every call, and logged.
 */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new InvariantViolation(what)
}
