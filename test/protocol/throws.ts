import { expect } from 'vitest'
import { type ErrorCode, ProtocolError } from '../../src/protocol/errors.ts'

/** Asserts that `task` throws a ProtocolError with this code. */
export const expectCode = (task: () => unknown, code: ErrorCode): void => {
  let thrown: unknown
  try {
    task()
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(ProtocolError)
  expect(thrown).toMatchObject({ code })
}
