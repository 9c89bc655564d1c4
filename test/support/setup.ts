/** Before each file of tests, in its process. */
import './capture/test-process.ts'
import { afterAll } from 'vitest'
import { endOfFile } from './end-of-file.ts'

afterAll(endOfFile)

// Files of one process share its globals: an HTTP adapter that put its own Response there would answer in the place of
// whoever keeps a response open (a poll of Socket.IO).
for (const [name, value] of Object.entries({ Request, Response })) {
  Object.defineProperty(globalThis, name, { value, writable: false, configurable: false })
}
